// SyscallTesting
