import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.zeromq.SocketType;
import org.zeromq.ZContext;
import org.zeromq.ZFrame;
import org.zeromq.ZMQ;
import org.zeromq.ZMsg;

/** A socket of JeroMQ on standard input and output, with the flags of {@code posthouse zmq}. */
public final class Peer {
    /** What stands for the end of the input; no line is like it, because lines have no ends. */
    private static final String END = "\n";
    private static final int TURN_MS = 5;

    private final Map<String, List<String>> flags = new HashMap<>();
    private final LinkedBlockingQueue<String> lines = new LinkedBlockingQueue<>();
    private final String kind;

    private Peer(String[] arguments) {
        kind = arguments[0];
        for (int at = 1; at < arguments.length; at++) {
            boolean alone = at + 1 == arguments.length || arguments[at + 1].startsWith("--");
            flags.computeIfAbsent(arguments[at], name -> new ArrayList<>()).add(alone ? "" : arguments[++at]);
        }
    }

    public static void main(String[] arguments) throws Exception {
        new Peer(arguments).run();
    }

    private void run() throws Exception {
        try (ZContext context = new ZContext()) {
            context.setLinger(30_000);
            SocketType type = SocketType.valueOf(kind.equals("pub") ? "XPUB" : kind.toUpperCase());
            ZMQ.Socket socket = context.createSocket(type);
            if (flags.containsKey("--plain-server")) {
                letIn(context);
            }
            secure(socket);
            for (String prefix : flags.getOrDefault("--subscribe", List.of(""))) {
                if (kind.equals("sub")) {
                    socket.subscribe(prefix);
                }
            }
            for (String endpoint : flags.getOrDefault("--bind", List.of())) {
                socket.bind(endpoint.replaceFirst(":0$", ":*"));
                System.err.println("listening on " + socket.getLastEndpoint());
            }
            for (String endpoint : flags.getOrDefault("--connect", List.of())) {
                socket.connect(endpoint);
            }
            Thread reader = new Thread(this::readLines);
            reader.setDaemon(true);
            reader.start();
            converse(socket);
        }
    }

    private void secure(ZMQ.Socket socket) {
        if (flags.containsKey("--plain-username")) {
            socket.setPlainUsername(flags.get("--plain-username").get(0));
            socket.setPlainPassword(flags.get("--plain-password").get(0));
        }
        if (flags.containsKey("--plain-server")) {
            socket.setPlainServer(true);
        }
        if (flags.containsKey("--curve-secret-key")) {
            socket.setCurveSecretKey(key("--curve-secret-key"));
            socket.setCurvePublicKey(key("--curve-public-key"));
        }
        if (flags.containsKey("--curve-server-key")) {
            socket.setCurveServerKey(key("--curve-server-key"));
        }
        if (flags.containsKey("--curve-server")) {
            socket.setCurveServer(true);
        }
    }

    /** A PLAIN server asks whoever answers here. */
    private void letIn(ZContext context) {
        ZMQ.Socket handler = context.createSocket(SocketType.REP);
        handler.bind("inproc://zeromq.zap.01");
        Thread thread = new Thread(() -> {
            while (true) {
                ZMsg asked = ZMsg.recvMsg(handler);
                ZFrame[] frames = asked.toArray(new ZFrame[0]);
                boolean right = frames[6].getString(StandardCharsets.UTF_8).equals(flags.get("--plain-username").get(0))
                    && frames[7].getString(StandardCharsets.UTF_8).equals(flags.get("--plain-password").get(0));
                ZMsg answer = new ZMsg();
                answer.add(frames[0]);
                answer.add(frames[1]);
                for (String part : List.of(right ? "200" : "400", "", "", "")) {
                    answer.add(part);
                }
                answer.send(handler);
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    private byte[] key(String flag) {
        return ZMQ.Curve.z85Decode(flags.get(flag).get(0));
    }

    private void converse(ZMQ.Socket socket) throws InterruptedException {
        switch (kind) {
            case "push" -> sendAll(socket, false);
            case "pub" -> {
                int awaited = Integer.parseInt(flags.getOrDefault("--peers", List.of("0")).get(0));
                while (awaited > 0) {
                    awaited -= socket.recv()[0];
                }
                sendAll(socket, false);
            }
            case "req" -> sendAll(socket, true);
            case "rep" -> {
                while (true) {
                    byte[] request = socket.recv();
                    print(request);
                    socket.send(flags.containsKey("--echo") ? request : next().getBytes(StandardCharsets.UTF_8));
                }
            }
            case "pair" -> bothWays(socket);
            default -> {
                while (true) {
                    print(socket.recv());
                }
            }
        }
    }

    private void sendAll(ZMQ.Socket socket, boolean answered) throws InterruptedException {
        for (String line = next(); line != null; line = next()) {
            socket.send(line);
            if (answered) {
                print(socket.recv());
            }
        }
    }

    /** One thread has the socket, so the two directions take turns. */
    private void bothWays(ZMQ.Socket socket) throws InterruptedException {
        socket.setReceiveTimeOut(TURN_MS);
        boolean ended = false;
        while (true) {
            byte[] heard = socket.recv();
            if (heard != null) {
                print(heard);
            }
            if (!ended && lines.peek() != null) {
                String line = next();
                ended = line == null;
                if (!ended) {
                    socket.send(line);
                }
            }
        }
    }

    /** The next line of the input; null at its end. */
    private String next() throws InterruptedException {
        String line = lines.poll(1, TimeUnit.DAYS);
        return END.equals(line) ? null : line;
    }

    private void readLines() {
        try (BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line; (line = input.readLine()) != null; ) {
                lines.add(line);
            }
        } catch (IOException error) {
            System.err.println(error);
        }
        lines.add(END);
    }

    private static void print(byte[] message) {
        System.out.println(new String(message, StandardCharsets.UTF_8));
        System.out.flush();
    }
}
