"""Signing a bundle that is there: its `manifest.sig` is replaced in one step, everything else stays byte for byte."""

import os
import shutil
import tempfile
from pathlib import Path

from isthmus.contract import archive, signature, small_file
from isthmus.contract.bundle import UNSIGNED_FILES, AnyBundle, open_any
from isthmus.contract.key import PrivateKey
from isthmus.contract.manifest import MANIFEST_NAME
from isthmus.contract.signature import SIGNATURE_NAME, SignatureFile
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import BundleError


def sign_bundle(path: Path | str, key: PrivateKey, *, only: bool = False) -> AnyBundle:
    """Sign a bundle, folder or zip.

    The bundle is checked first, as `open_any` does: a damaged one is not signed. Two who sign the same bundle at the same
    moment lose one of the signatures.

    Args:
        path: the bundle.
        key: signs; an older signature by it is replaced.
        only: drop the signatures of all other keys, readable or not.

    Returns:
        The signed bundle, opened again.

    Raises:
        BundleError: it is no bundle, damaged, or cannot be written; it is then as it was.
        SignatureError: its `manifest.sig` is damaged or full, and not `only`.
    """
    bundle = open_any(path)
    held = None if only else signature.read(bundle.folder, bundle.origin)
    signed = signature.with_signature(held, signature.sign(bundle.manifest_bytes, key))
    trusted = TrustedKeys({key.public.id: key.public})
    # Through a link: what it leads to is replaced, not the link.
    target = bundle.origin.resolve()
    try:
        if target.is_dir():
            small_file.replace(target / SIGNATURE_NAME, signed.encode(), like=target / MANIFEST_NAME)
        else:
            _replace_archive(target, bundle, signed, trusted)
    except OSError as error:
        raise BundleError(f"cannot sign {bundle.origin}: {error.strerror or error}") from error
    return open_any(path, trusted=trusted)


def _replace_archive(target: Path, bundle: AnyBundle, signed: SignatureFile, trusted: TrustedKeys) -> None:
    """Write the archive anew beside the old one, open it, and only then give it the name."""
    with tempfile.TemporaryDirectory(prefix=".isthmus-", dir=target.parent) as temporary:
        fresh, written = Path(temporary) / target.name, Path(temporary) / SIGNATURE_NAME
        written.write_bytes(signed.encode())
        unsigned = [name for name in UNSIGNED_FILES if name != SIGNATURE_NAME and (bundle.folder / name).is_file()]
        names = [MANIFEST_NAME, SIGNATURE_NAME, *sorted([*bundle.manifest.files, *unsigned])]
        archive.pack(fresh, {name: written if name == SIGNATURE_NAME else bundle.folder / name for name in names})
        shutil.copymode(target, fresh)
        open_any(fresh, trusted=trusted)
        os.replace(fresh, target)
