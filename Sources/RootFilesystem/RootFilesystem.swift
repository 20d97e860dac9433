// RootFilesystem
