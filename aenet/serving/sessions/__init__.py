"""onnxruntime sessions: which provider, with which options, and what it really runs on."""
