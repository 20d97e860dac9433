// SPDX-License-Identifier: Apache-2.0
#ifndef KBUILD_CSUPERVISOR_H
#define KBUILD_CSUPERVISOR_H

/// Runs `argv` as a child in the caller's process group and waits for it.
///
/// Standard input is a lifeline, not data: when its other end closes, which also happens at any death of the process
/// that holds it, the whole process group is killed. A session that the child created is killed then too, and also
/// after the child has ended. The child reads /dev/null and has the files of `paths`, up to a null pointer, as its
/// descriptors 3, 4 and so on: Unix sockets connected, other files open for reading. Returns the child's exit code, 128
/// + N when signal N ended it, or 127 when it could not be started.
int kbuild_supervise(char *const argv[], char *const paths[]);

#endif
