"""ImageNet's MobileNetV2 on sample photos: agreement and top-1 against bytes and against the depth of the cut."""
