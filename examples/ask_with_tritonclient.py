"""Ask a server with Triton's own client, which knows nothing of Isthmus; the same program asks a Triton server.

pip install 'tritonclient[grpc]'
python ask_with_tritonclient.py 127.0.0.1:8001 NAME B/golden.npz

`golden.npz` of a bundle holds inputs, codes and outputs of a few frames as the exporting machine computed them: the codes go to
the tail `NAME`, the inputs to the whole network `NAME_whole`.
"""

import sys

import numpy as np
import tritonclient.grpc as triton


def ask(client: triton.InferenceServerClient, model: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a model for its inputs, in the order in which its metadata name them."""
    told = client.get_model_metadata(model)
    inputs = []
    for port, array in zip(told.inputs, arrays, strict=True):
        inputs.append(triton.InferInput(port.name, list(array.shape), port.datatype))
        inputs[-1].set_data_from_numpy(array)
    answer = client.infer(model, inputs)
    return {port.name: answer.as_numpy(port.name) for port in told.outputs}


def main(address: str, name: str, golden: str) -> None:
    """Ask for the first golden frame, codes and picture."""
    with np.load(golden, allow_pickle=False) as file:
        frames = {key: file[key][:1] for key in file.files if not key.startswith("payload_")}
    codes = [frames[f"codes_{index}"] for index in range(len(frames)) if f"codes_{index}" in frames]
    with triton.InferenceServerClient(address) as client:
        for output, array in ask(client, name, codes).items():
            difference = np.abs(array - frames[f"outputs_{output}"]).max()
            print(f"{name}: {output} {list(array.shape)}, {difference:.1e} from the golden one")
        if client.is_model_ready(f"{name}_whole"):
            for output, array in ask(client, f"{name}_whole", [frames["input"]]).items():
                print(f"{name}_whole: {output} {list(array.shape)}, largest {array.max():.3g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
