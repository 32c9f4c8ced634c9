# SPDX-License-Identifier: MIT
# Samples: small programs to copy from. The tools among them are built with the library.

include samples/replay/replay.mk
include samples/trace/trace.mk
include samples/tale/tale.mk
