// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The contents of a subject's brackets, as in `[RFC PATCH v2 3/7]`.
package struct MailTag: Equatable {
    /// Whether the subject begins like that of a reply.
    var isAnswer = false
    /// Whether it is marked as a patch.
    var isPatch = false
    /// The version of the series; 1 if none is named.
    var version = 1
    /// A position in a series.
    struct Place: Equatable {
        /// Counted from 1; 0 for the introduction.
        var index: Int
        /// The number of patches in the series.
        var total: Int
    }

    /// The position in the series.
    var place: Place?

    /// The first words of replies and of forwarded messages in mail programs of several languages.
    private static let answers = ["re", "aw", "sv", "vs", "antw", "rép"]
    private static let forwards = ["fwd", "fw", "wg", "tr"]

    package init(_ subject: String?) {
        var rest = Substring(subject ?? "")
        while true {
            rest = rest.drop { $0 == " " || $0 == "\t" }
            if rest.first == "[", let end = rest.firstIndex(of: "]") {
                read(rest[..<end].dropFirst())
                rest = rest[rest.index(after: end)...]
            } else if let colon = rest.firstIndex(of: ":"),
                Self.answers.contains(rest[..<colon].lowercased())
                    || Self.forwards.contains(rest[..<colon].lowercased())
            {
                if Self.answers.contains(rest[..<colon].lowercased()) { isAnswer = true }
                rest = rest[rest.index(after: colon)...]
            } else {
                break
            }
        }
        if !isPatch { readBare(rest) }
    }

    /// A tag without its brackets, as some lists' archives and mail programs write it: `PATCH v2 1/3: ...`.
    private mutating func readBare(_ subject: Substring) {
        let words = subject.prefix { $0 != ":" }.split(separator: " ")
        guard (2...4).contains(words.count), words[0].lowercased() == "patch", let place = words.last,
            place.contains("/")
        else { return }
        var tag = self
        tag.read(words.joined(separator: " ")[...])
        if tag.place != nil { self = tag }
    }

    private mutating func read(_ bracket: Substring) {
        for word in bracket.split(whereSeparator: { $0 == " " || $0 == "," || $0 == "\t" }) {
            let small = word.lowercased()
            if small.hasPrefix("patch") || small.hasPrefix("rfc") || small.hasPrefix("rft") { isPatch = true }
            let numbers = word.split(separator: "/", omittingEmptySubsequences: false)
            if numbers.count == 2, let index = Int(numbers[0]), let total = Int(numbers[1]), index >= 0,
                total > 0
            {
                place = Place(index: index, total: total)
            } else if let v = small.firstIndex(of: "v"), let number = Int(small[small.index(after: v)...]), number > 0,
                small[..<v].isEmpty || small[..<v] == "patch" || small[..<v] == "rfc"
            {
                version = number
            }
        }
        if place != nil { isPatch = true }
    }

    /// Whether this is the introduction to a series, `[PATCH 0/3]`, which has no diff to apply.
    var isCoverLetter: Bool { !isAnswer && place?.index == 0 }
}

/// Chooses the patches of a mailbox as b4 does: replies are skipped with a note, the last of several versions counts,
/// and numbered messages are sorted.
package struct MailSelection {
    let file: String
    /// Whether an introduction was skipped.
    var hasCoverLetter = false
    private var entries: [Entry] = []
    private var passedOver: [String] = []
    private var identifiers: Set<String> = []

    private struct Entry {
        var patch: Patch
        var tag: MailTag
        var isAnswer: Bool
        var line: Int
    }

    init(file: String) { self.file = file }

    /// The name of the message in failures and notes.
    private func title(_ message: MailMessage) -> String {
        message.subject.map { "the message \"\($0)\"" } ?? "the message"
    }

    private static let longestList = 8

    /// The failure of one message of many, with its name.
    func naming(_ message: MailMessage, in failure: Failure) -> Failure {
        guard let subject = message.subject else { return failure }
        var failure = failure
        let own = "in the message of line \(message.firstLineNumber), \"\(subject)\""
        failure.details = failure.details.map { own + "\n" + $0 } ?? own
        return failure
    }

    /// Adds a message.
    ///
    /// - Parameter whyEmpty: Why it has no diff.
    /// - Throws: `Failure` (`patch`) for a patch whose diff is missing.
    mutating func add(
        _ message: MailMessage, _ files: [FilePatch], whyEmpty: (reason: String, next: String?)?
    ) throws {
        let tag = MailTag(message.subject)
        let isAnswer = tag.isAnswer || (message.isAnswer && !tag.isPatch)
        if let identifier = message.identifier, !identifiers.insert(identifier).inserted {
            passedOver.append("line \(message.firstLineNumber): \(title(message)), which is there twice")
            return
        }
        if let whyEmpty {
            // It is part of a conversation, not of a series.
            if isAnswer || (message.subject != nil && !tag.isPatch) {
                passedOver.append("line \(message.firstLineNumber): \(title(message)) \(whyEmpty.reason)")
                emptyReason = emptyReason ?? failure(message, whyEmpty)
                return
            }
            throw failure(message, whyEmpty)
        }
        var patch = Patch(file: file, subject: message.subject, files: files)
        (patch.author, patch.date) = (message.author, message.date)
        patch.explanation = message.explanation
        entries.append(
            Entry(
                patch: patch, tag: tag, isAnswer: isAnswer,
                line: message.firstLineNumber))
    }

    private var emptyReason: Failure?

    private func failure(_ message: MailMessage, _ why: (reason: String, next: String?)) -> Failure {
        let what = message.subject == nil ? "the file" : title(message)
        return Failure(
            .patch, "\(file):\(message.body.number(0)): \(what) \(why.reason)",
            nextStep: why.next ?? "remove it from the series, or recreate it with `git format-patch` or `diff -Naur`")
    }

    /// The patches to apply, in their order.
    ///
    /// - Throws: `Failure` (`patch`) when there is none, or when a version of the series is incomplete.
    mutating func patches(isMailbox: Bool) throws -> [Patch] {
        passOverAnswers()
        try chooseVersion()
        var remarks: [String] = []
        if !passedOver.isEmpty {
            let shown = passedOver.prefix(Self.longestList).joined(separator: "; ")
            let more = passedOver.count - Self.longestList
            remarks.append(
                "\(file): passed over \(pluralized(passedOver.count, "message")): \(shown)"
                    + (more > 0 ? "; and \(more) more" : ""))
        }
        try Self.checkCompleteness(
            of: entries.map(\.tag), in: file,
            nextStep:
                "save the whole series; to apply these patches alone, save each message as a file and list the files in "
                + "a file named series")
        remarks += order()
        guard !entries.isEmpty else {
            if let emptyReason { throw emptyReason }
            // A file with only an introduction adds nothing.
            if hasCoverLetter { return [] }
            throw Failure(.patch, "\(file): the file holds no patch", details: passedOver.joined(separator: "\n"))
        }
        return entries.enumerated().map { index, entry in
            var patch = entry.patch
            if isMailbox { patch.messageLine = entry.line }
            if index == 0 { patch.remarks = remarks }
            return patch
        }
    }

    /// A diff in a reply is a suggestion: it is not part of a series in the mailbox.
    private mutating func passOverAnswers() {
        guard entries.contains(where: { !$0.isAnswer && $0.tag.isPatch }) else { return }
        for entry in entries where entry.isAnswer {
            passedOver.append(
                "line \(entry.line): the answer \"\(entry.patch.subject ?? "")\", though it holds a diff (save it as a "
                    + "file of its own to apply it)")
        }
        entries.removeAll(where: \.isAnswer)
    }

    private mutating func chooseVersion() throws {
        guard entries.allSatisfy(\.tag.isPatch), let last = entries.map(\.tag.version).max(),
            entries.contains(where: { $0.tag.version < last })
        else { return }
        let chosen = entries.filter { $0.tag.version == last }
        if let total = chosen.compactMap(\.tag.place?.total).max() {
            if let missing = Self.missing(of: total, besides: chosen.compactMap(\.tag.place?.index)) {
                throw Failure(
                    .patch, "\(file) holds several versions of a series, of which v\(last) lacks \(missing.names)",
                    nextStep: "save the whole of one version")
            }
        }
        for entry in entries where entry.tag.version < last {
            passedOver.append("line \(entry.line): \"\(entry.patch.subject ?? "")\", which v\(last) replaces")
        }
        entries = chosen
    }

    /// Checks that no patch is missing from a series whose subjects state its length: a verdict on the other patches
    /// would pass for a verdict on the series. A user who gives a single patch has chosen it deliberately.
    ///
    /// - Throws: `Failure` (`patch`) that names the missing patches.
    package static func checkCompleteness(of tags: [MailTag], in file: String, nextStep: String) throws(Failure) {
        let places = tags.filter { !$0.isAnswer }.compactMap(\.place).filter { $0.index > 0 }
        for (total, places) in Dictionary(grouping: places, by: \.total).sorted(by: { $0.key < $1.key })
        where places.count > 1 {
            guard let missing = missing(of: total, besides: places.map(\.index)) else { continue }
            throw Failure(
                .patch,
                "\(file) holds \(total - missing.count) of the \(total) patches of a series; missing: \(missing.names)",
                nextStep: nextStep)
        }
    }

    /// The missing positions of a series; nil when there are none. A subject may claim any total, so the time that this
    /// takes depends only on the existing positions.
    private static func missing(of total: Int, besides places: [Int]) -> (count: Int, names: String)? {
        let present = Set(places.filter { (1...total).contains($0) })
        let count = total - present.count
        guard count > 0 else { return nil }
        let names = (1...total).lazy.filter { !present.contains($0) }.prefix(longestList).map { "\($0)/\(total)" }
            .joined(separator: ", ")
        return (count, names + (count > longestList ? " and \(count - longestList) more" : ""))
    }

    /// Sorts numbered messages.
    private mutating func order() -> [String] {
        let places = entries.compactMap(\.tag.place)
        guard places.count == entries.count, Set(places.map(\.total)).count == 1,
            Set(places.map(\.index)).count == places.count
        else { return [] }
        var remarks: [String] = []
        let indexes = places.map(\.index)
        if indexes != indexes.sorted() {
            remarks.append("\(file): the messages are applied in the order of their numbers")
            entries.sort { ($0.tag.place?.index ?? 0) < ($1.tag.place?.index ?? 0) }
        }
        return remarks
    }
}
