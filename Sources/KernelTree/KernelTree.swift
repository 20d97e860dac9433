// KernelTree
