"""Sound and pictures: frames, inputs, files, devices, mixing."""
