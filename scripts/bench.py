"""Time an artifact or an ONNX file on this machine: milliseconds a call, and plates a second.

The same as `lprnet bench`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("bench")
