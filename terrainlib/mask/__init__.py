"""After the network: prediction, sharpening, scores, galleries and files of masks."""
