// SPDX-License-Identifier: Apache-2.0
import Fuzzing
import Glibc
import ResultsModel
import Testing

@testable import GuestInit
@testable import GuestSession
@testable import TestSession
@testable import VirtualMachine

/// The protocol code of the guest's PID 1, compiled for the host and compared with the host's own.
///
/// Code that ends processes, mounts or reboots is not compiled here.
@Suite("init's protocol", .timeLimit(.minutes(30)))
struct GuestInitTests {
    /// A pair of connected sockets; closed with the value.
    private final class Connection {
        let guest: Int32
        let host: Int32

        init(_ kind: __socket_type = SOCK_STREAM) throws {
            var ends: [Int32] = [-1, -1]
            try #require(socketpair(AF_UNIX, Int32(kind.rawValue), 0, &ends) == 0)
            (guest, host) = (ends[0], ends[1])
        }

        deinit {
            close(guest)
            close(host)
        }

        /// What has arrived at the host's end.
        func received() -> [UInt8] { Self.arrived(at: host) }

        static func arrived(at descriptor: Int32) -> [UInt8] {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                guard count > 0 else { return bytes }
                bytes += buffer[..<count]
            }
        }

        func say(_ bytes: [UInt8]) throws { try #require(send(host, bytes, bytes.count, 0) == bytes.count) }
    }

    private func frames(_ items: [ResultsDecoder.Item]) -> [Frame] {
        items.compactMap { if case .frame(let frame) = $0 { frame } else { nil } }
    }

    // MARK: Durations of calls

    /// The model of results has a type of the same name, and a macro cannot take a module's name apart from a value.
    private typealias FileOfCalls = GuestInit.CallTimes

    /// The file as the test library sees it.
    private func words(of path: String) -> [UInt64] {
        let bytes = System.read(path) ?? []
        return stride(from: 0, to: bytes.count - 7, by: 8).map { start in
            (0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << (8 * UInt64($1)) }
        }
    }

    @Test("the file of the calls has its form, and a frame has what grew in it")
    func callTimes() throws {
        let path = "/tmp/kbuild-calls-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { unlink(path) }
        var times = try #require(FileOfCalls("instructions,463,470", path: path))
        var words = words(of: path)
        #expect(words.count == 3 + 2 * (1 + FileOfCalls.buckets))
        #expect(words.prefix(5) == [1, 1, 2, 463, 470] && words.dropFirst(5).allSatisfy { $0 == 0 })
        let connection = try Connection()
        var channel = Channel(descriptor: connection.guest, isAcknowledged: false)
        var decoder = ResultsDecoder.port()
        func sent() -> [String] {
            times.capture()
            times.send(&channel)
            return frames(decoder.consume(connection.received())).map { "\($0.kind) \($0.text)" }
        }
        func count(_ call: Int, _ bucket: Int, _ number: UInt64) {
            words[5 + call * FileOfCalls.buckets + bucket] += number
            let bytes = words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) } }
            let descriptor = open(path, O_WRONLY)
            #expect(write(descriptor, bytes, bytes.count) == bytes.count)
            close(descriptor)
        }
        #expect(sent().isEmpty)
        count(0, 0, 2)
        count(0, 975, 1)
        count(1, 40, 300)
        #expect(sent() == ["calls 463 0:2 975:1", "calls 470 40:300"])
        #expect(sent().isEmpty)
        count(1, 40, 1)
        #expect(sent() == ["calls 470 40:1"])
        // A program may cut the file short: what was counted before stays.
        #expect(truncate(path, 100) == 0)
        #expect(sent().isEmpty)
    }

    @Test("without a call's number there is no file", arguments: ["", "time", "time,x"])
    func noCalls(option: String) {
        let path = "/tmp/kbuild-no-calls-\(getpid())"
        #expect(FileOfCalls(option, path: path) == nil)
        #expect(access(path, F_OK) != 0)
    }

    // MARK: Frames

    @Test("the host decodes init's frames byte for byte", arguments: 1...20)
    func frames(seed: UInt64) throws {
        let connection = try Connection()
        var channel = Channel(descriptor: connection.guest, isAcknowledged: false)
        var generator = SeededGenerator(seed: seed)
        var decoder = ResultsDecoder.port()
        var sent: [Frame] = []
        let kinds: [Frame.Kind] = [.output, .event, .log, .stop, .note]
        for number in 1...30 {
            let payload = (0..<Int.random(in: 0...300, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            let kind = try #require(kinds.randomElement(using: &generator))
            let isSent = channel.send(kind.rawValue, payload)
            #expect(isSent)
            let frame = Frame(sequence: number, kind: kind, payload: payload)
            sent.append(frame)
            let bytes = connection.received()
            // The host's own encoder, which its tests use, writes the same.
            #expect(bytes == frame.encoded)
            let items = decoder.consume(bytes)
            #expect(items == [.frame(frame)])
        }
        channel.restart()
        channel.send("hello", "version=1")
        #expect(connection.received() == Frame(sequence: 1, kind: .hello, payload: Array("version=1".utf8)).encoded)
        #expect(sent.count == 30)
    }

    @Test("on the console a frame is sent again when the host reports it as truncated, and counts once")
    func acknowledged() throws {
        let connection = try Connection()
        // The first answer is for a frame that a kernel message truncated, the second for the previous frame, which is
        // ignored.
        try connection.say(Array("nak 1\nack 0\nack 1\n".utf8))
        var channel = Channel(descriptor: connection.guest, isAcknowledged: true)
        let isSent = channel.send("hello", "version=1")
        #expect(isSent)
        var bytes = connection.received()
        let frame = Frame(sequence: 1, kind: .hello, payload: Array("version=1".utf8))
        // Each frame begins with a line feed, which ends an unfinished line of the kernel.
        #expect(bytes == [0x0A] + frame.encoded + [0x0A] + frame.encoded)
        // The kernel's message is within the first frame.
        bytes.insert(contentsOf: Array("[ 1.0] message\n".utf8), at: 12)
        var decoder = ResultsDecoder.console(carriesResults: true)
        let items = decoder.consume(bytes)
        #expect(frames(items) == [frame])
        let replies = decoder.takeReplies()
        #expect(replies == Array("nak 1\nack 1\n".utf8))
    }

    @Test("a channel reports that its other end is closed")
    func gone() throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        close(ends[0])
        var channel = Channel(descriptor: ends[1], isAcknowledged: false)
        let isSent = channel.send("hello", "version=1")
        #expect(!isSent)
        close(ends[1])
    }

    @Test("init waits for the host's bye, after any other messages")
    func farewell() throws {
        let connection = try Connection()
        let channel = Channel(descriptor: connection.guest, isAcknowledged: false)
        try connection.say(Array("in 6869\ngoodbye\nbye\nrest".utf8))
        channel.awaitFarewell()
        // It has read up to that, and would otherwise still wait.
        #expect(Connection.arrived(at: connection.guest).isEmpty)
    }

    // MARK: Plans

    private static let sessionPlan = {
        var plan = programs
        plan.programs[1].modules = [
            ModulePlan(name: "base", path: "/m/base.ko"),
            ModulePlan(name: "ring", path: "/m/ring.ko", parameters: ["a=1", "b=x"]),
        ]
        return plan
    }()

    private static let programs = SessionPlan(programs: [
        ProgramPlan(
            name: "suite", arguments: ["/kbuild/programs/suite.xctest", "--filter", "a b  c ", ""],
            environment: ["A=1", "B= two words"], seconds: 60, resultsProtocol: .swiftTesting(expected: ["a"])),
        ProgramPlan(name: "ktap", arguments: ["/kbuild/programs/ktap"], resultsProtocol: .ktap),
        ProgramPlan(name: "exit", arguments: ["/bin/über"], seconds: 3, resultsProtocol: .exitCode(skip: 4)),
        ProgramPlan(name: "shell", arguments: ["/bin/sh"], resultsProtocol: .interactive(isTerminal: true)),
        ProgramPlan(name: "command", arguments: ["/bin/true"], resultsProtocol: .interactive(isTerminal: false)),
    ])

    @Test("the plan that the host writes is the plan that init reads")
    func plan() throws {
        let plan = try #require(Plan(Array(try Self.sessionPlan.encoded().utf8)))
        #expect(plan.programs.map(\.arguments) == Self.sessionPlan.programs.map(\.arguments))
        #expect(plan.programs.map(\.environment) == Self.sessionPlan.programs.map(\.environment))
        #expect(plan.programs.map(\.seconds) == [60, 0, 3, 0, 0])
        #expect(plan.programs.map(\.modules.count) == [0, 2, 0, 0, 0])
        #expect(plan.programs[1].modules.map(\.name) == ["base", "ring"])
        #expect(plan.programs[1].modules.map(\.path) == ["/m/base.ko", "/m/ring.ko"])
        #expect(plan.programs[1].modules.map(\.parameters) == ["", "a=1 b=x"])
        #expect(plan.programs.map(\.kind) == [.swift, .output, .output, .terminal, .streams])
    }

    @Test("a plan that is truncated anywhere is refused, and so is one with an unknown line")
    func damagedPlans() throws {
        let bytes = Array(try Self.sessionPlan.encoded().utf8)
        // Its last line feed alone does not matter.
        for length in 0..<(bytes.count - 1) where Plan(Array(bytes[..<length])) != nil {
            Issue.record("a plan of \(length) of \(bytes.count) bytes is taken")
        }
        for text in [
            "kbuild-plan 2\nprogram output 0\narg a\nend\ndone\n", "kbuild-plan 1\nprogram other 0\narg a\nend\ndone\n",
            "kbuild-plan 1\nprogram output x\narg a\nend\ndone\n", "kbuild-plan 1\nprogram output 0\nend\ndone\n",
            "kbuild-plan 1\nprogram output 0\nmodule a\narg a\nend\ndone\n",
            "kbuild-plan 1\nmodule a /m/a.ko\nprogram output 0\narg a\nend\ndone\n",
            "kbuild-plan 1\narg a\nend\ndone\n", "kbuild-plan 1\nprogram output 0\narg a\nwhat b\nend\ndone\n",
            "kbuild-plan 1\nprogram output 0\narg a\nprogram output 0\narg b\nend\ndone\n",
        ] {
            #expect(Plan(Array(text.utf8)) == nil, "\(text)")
        }
        #expect(try #require(Plan(Array("kbuild-plan 1\ndone\n".utf8))).programs.isEmpty)
    }

    // MARK: Endings

    @Test("the message about a program's end is read as it was written")
    func endings() {
        // In waitpid(2)'s form: the code in the second byte, or the signal in the first.
        for code in 0...255 as ClosedRange<Int32> {
            #expect(ProgramEnding(Ending(status: code << 8).payload) == .exited(code))
        }
        for signal in 1...64 as ClosedRange<Int32> {
            #expect(ProgramEnding(Ending(status: signal).payload) == .signaled(signal))
            // With a core file.
            #expect(ProgramEnding(Ending(status: signal | 0x80).payload) == .signaled(signal))
        }
        #expect(ProgramEnding(Ending.timedOut.payload) == .timedOut)
        #expect(
            ProgramEnding(Ending.notStarted("No such file or directory").payload)
                == .notStarted("No such file or directory"))
    }

    // MARK: Requests

    @Test("a restored guest reads the clock, the seed, the plan and the patterns from the host")
    func resumeRequest() throws {
        let before = time(nil)
        let command = ResumeCommand(plan: "plan-3", filters: ["^A/one$", "two\nlines", " spaces "])
        var request = ResumeRequest()
        var ends: [Bool] = []
        for line in command.encoded.lines() {
            switch request.take(line) {
            case .more: ends.append(false)
            case .complete: ends.append(true)
            case .unreadable: Issue.record("\(line.text()) is not read")
            }
        }
        // The last line alone lets the guest go on.
        #expect(ends == [false, false, false, false, false, false, true])
        #expect(
            (before...time(nil)).contains(Int(request.seconds)) && (0..<1_000_000_000).contains(request.nanoseconds))
        #expect(request.seed.count == 32 && Set(request.seed).count > 4)
        #expect(request.plan == "plan-3")
        #expect(request.filters.text() == "^A/one$\ntwo\\nlines\n spaces \n")
        #expect(ResumeRequest().plan == "plan")
        for line in ["", "time", "time 1", "time a b", "other", "go on"] {
            var request = ResumeRequest()
            let progress = request.take(Array(line.utf8))
            #expect(line == "go on" ? progress == .complete : progress == .unreadable, "\(line)")
        }
    }

    @Test("init reads the host's requests to a program")
    func shellRequests() throws {
        let input = GuestInput()
        let said = Said()
        input.connect { said.add($0) }
        input.resize(TerminalSize(rows: 24, columns: 80))
        input.go()
        input.close(stream: 1)
        input.close(stream: 2)
        input.end()
        let bytes = (0...255).map { UInt8($0) }
        let lines = said.bytes.lines() + GuestInput.encoded(bytes).lines() + [Array("eof".utf8)]
        let request = lines.map { ShellRequest($0) }
        #expect(
            request == [
                .resize(rows: 24, columns: 80), .start, .close(.output), .close(.errors), .end, .input(bytes),
                .endOfInput,
            ])
        for line in [
            "", " ", "size 1", "size a b", "size 70000 1", "close-stream", "close-stream 3", "in", "in 1 2", "other",
        ] {
            #expect(ShellRequest(Array(line.utf8)) == nil, "\(line)")
        }
        #expect(ShellRequest(Array("in zz".utf8)) == .input([]))
    }

    private final class Said: @unchecked Sendable {
        // Everything is sent on the test's thread.
        private(set) var bytes: [UInt8] = []
        func add(_ more: [UInt8]) { bytes += more }
    }

    // MARK: The kernel's log

    @Test("records are forwarded without their dictionaries, and lost or withheld ones are counted")
    func kernelLog() throws {
        let connection = try Connection()
        // A datagram is read whole, as a record of /dev/kmsg is.
        let records = try Connection(SOCK_DGRAM)
        try #require(fcntl(records.guest, F_SETFL, O_NONBLOCK) == 0)
        let taint = open("/proc/sys/kernel/tainted", O_RDONLY)
        defer { close(taint) }
        var channel = Channel(descriptor: connection.guest, isAcknowledged: false)
        var log = KernelLog(records: records.guest, taint: taint)
        try records.say(Array("6,0,100,-;first\n SUBSYSTEM=pci\n".utf8))
        try records.say(Array("4,1,101,-;second\n".utf8))
        // 2 and 3 were overwritten.
        try records.say(Array("3,4,102,-;fifth\n".utf8))
        log.sample(&channel)
        var decoder = ResultsDecoder.port()
        let sent = frames(decoder.consume(connection.received()))
        try #require(sent.map(\.kind) == [.log, .kernel])
        #expect(sent[0].text == "6,0,100,-;first\n4,1,101,-;second\n3,4,102,-;fifth\n")
        let fields = sent[1].text.split(separator: " ")
        #expect(fields.count == 5 && fields[2...].elementsEqual(["4", "2", "0"]))
        #expect(UInt64(fields[1]) == log.taint)

        // On the console the kernel itself prints informational messages.
        let console = try Connection()
        try console.say(Array("ack 1\nack 2\n".utf8))
        channel = Channel(descriptor: console.guest, isAcknowledged: true)
        try records.say(Array("6,5,103,-;information\n".utf8))
        try records.say(Array("4,6,104,-;warning\n".utf8))
        log.sample(&channel)
        decoder = .console(carriesResults: true)
        let onConsole = frames(decoder.consume(console.received()))
        #expect(onConsole.first?.text == "4,6,104,-;warning\n")
        #expect(onConsole.last?.text.split(separator: " ").dropFirst(2).elementsEqual(["6", "2", "0"]) == true)
    }

    // MARK: Text

    @Test("hexadecimal digits and checksums agree with the host's", arguments: 1...20)
    func digits(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let sample = (0..<Int.random(in: 0...100, using: &generator)).map { _ in
            UInt8.random(in: 0...255, using: &generator)
        }
        #expect(crc32(sample) == CRC32.checksum(of: sample))
        let line = GuestInput.encoded(sample)
        #expect(bytes(hexadecimal: line.dropFirst(3).dropLast()) == sample)
        #expect(bytes(hexadecimal: Array("0g".utf8)).isEmpty)
        #expect(hexadecimal(0x1A).suffix(2).elementsEqual("1a".utf8))
    }

    // MARK: Coverage

    @Test("changed counters are sent with the values that were read, and again to another host")
    func coverage() throws {
        let folder = try #require(mkdtempPath())
        defer { _ = system("rm -r '\(folder)'") }
        mkdir("\(folder)/o", 0o755)
        mkdir("\(folder)/o/kernel", 0o755)
        func write(_ name: String, _ text: String) throws {
            let file = try #require(fopen("\(folder)/\(name)", "w"))
            defer { fclose(file) }
            #expect(fputs(text, file) >= 0)
        }
        try write("reset", "")
        try write("o/kernel/a.gcno", "notes")
        try write("o/kernel/a.gcda", "one\n")
        let connection = try Connection()
        var channel = Channel(descriptor: connection.guest, isAcknowledged: false)
        var decoder = ResultsDecoder.port()
        func told() -> [String] {
            frames(decoder.consume(connection.received())).map { "\($0.kind) \($0.text)" }
        }
        var counters = CoverageCounters(folder: folder)
        counters.findObjects()
        counters.findObjects()
        counters.capture()
        try write("o/kernel/a.gcda", "two\n")
        counters.send(&channel)
        #expect(told() == ["coverage /o/kernel/a.gcda\none\n"])
        counters.send(&channel)
        #expect(told().isEmpty)
        counters.capture()
        counters.send(&channel)
        #expect(told() == ["coverage /o/kernel/a.gcda\ntwo\n"])
        try write("o/module.gcda", "three")
        counters.findObjects()
        counters.capture()
        counters.send(&channel)
        #expect(told() == ["coverage /o/module.gcda\nthree"])
        counters.restart()
        counters.send(&channel)
        #expect(told().count == 2)
    }

    private func mkdtempPath() -> String? {
        var template = Array("/tmp/kbuild-coverage-XXXXXX".utf8CString)
        return template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
    }
}
