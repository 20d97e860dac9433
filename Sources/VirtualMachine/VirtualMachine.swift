// VirtualMachine
