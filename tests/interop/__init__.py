"""Other libraries, Node.js and a browser on the far end of our connections."""
