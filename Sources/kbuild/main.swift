print("kbuild")
