"""The doors: what a script or a notebook calls, and the commands too. `import aenet` offers them by name.

They take what people have at hand (`str` or `Path`, list or tuple, `"70m"` or `70.0`) and hand it to the rooms, which
take one kind of each.
"""
