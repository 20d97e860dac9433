/// "1 file", "2 files": a number with what it counts, whose plural takes an s.
public func counted(_ number: Int, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }
