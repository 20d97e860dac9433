/// kbuild's version.
public let kbuildVersion = "0.1.0"
