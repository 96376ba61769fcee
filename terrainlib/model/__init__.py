"""The U-Net: its configuration, network, training and files."""
