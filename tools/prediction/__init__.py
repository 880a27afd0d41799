"""Images and videos named on the command line: finding, predicting and writing them."""
