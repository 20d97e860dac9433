// SPDX-License-Identifier: Apache-2.0
#ifndef KBUILD_CSUPERVISOR_H
#define KBUILD_CSUPERVISOR_H

/// Runs `argv` as a child in the caller's process group and waits for it.
///
/// Standard input is a lifeline, not data: when its other end closes, which happens however the process that
/// holds it dies, the whole process group is killed. So is, then and when the child has ended, a session that the
/// child made for itself. The child reads /dev/null and finds what `paths` names, up to a null pointer, as its
/// descriptors 3, 4 and so on: Unix sockets connected, other files open for reading. Returns the child's exit code, 128 + N when signal N ended it, or
/// 127 when it could not be started.
int kbuild_supervise(char *const argv[], char *const paths[]);

#endif
