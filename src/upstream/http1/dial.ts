import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Open } from '../spares.ts';

export type DialSettings = {
  readonly lookup: LookupFunction;
  readonly connectTimeoutMs: number;
  readonly certificateAuthorities?: readonly string[];
};

/** Takes what a connection receives. The next read overwrites the bytes. */
export type Inlet = { receive(bytes: Buffer): void };

/** What Node asks for to read into a buffer of the caller. */
type ReadInto = { buffer: Buffer; callback: (count: number) => boolean };

/** Where the inlet of a socket is kept, because sockets in reserve have none yet. */
type Slot = { inlet: Inlet | undefined };

const readBufferBytes = 65_536;
const tlsReadBufferBytes = 8_192;
const tcpKeepAliveMs = 60_000;
const sessionsMax = 256;

/** An error that nobody listens for would end the process. */
function ignore(): void {}

/**
 * Opens connections for our own client: HTTP/1.1 over TCP or TLS, without Nagle's delay, the next
 * address tried when the first is slow (RFC 8305). All plain connections read into one buffer, which
 * is safe because each read is handled before the next one begins. Under TLS a write can bring a read
 * about, so there each connection has its own.
 */
export class Dialer {
  readonly #settings: DialSettings;
  readonly #readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
  readonly #inlets = new WeakMap<Socket, Slot>();
  /** Sessions of TLS by origin, for a shorter handshake. */
  readonly #sessions = new Map<string, Buffer>();
  readonly #opening = new Set<Socket>();

  constructor(settings: DialSettings) {
    this.#settings = settings;
  }

  readonly open: Open = (options, callback) => {
    const isTls = options.protocol === 'https:';
    const host = options.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = Number(options.port) || (isTls ? 443 : 80);
    const socket = isTls ? this.#openTls(host, port) : this.#openTcp(host, port);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, tcpKeepAliveMs);
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' }));
    }, this.#settings.connectTimeoutMs);
    this.#opening.add(socket);
    const connected = isTls ? 'secureConnect' : 'connect';
    const onConnect = (): void => settle(null);
    const onClose = (): void => settle(new Error('closed while connecting'));
    // A connection lives long, and what opened it shall not.
    const settle = (error: Error | null): void => {
      clearTimeout(timer);
      this.#opening.delete(socket);
      socket.on('error', ignore);
      socket.off(connected, onConnect).off('error', settle).off('close', onClose);
      if (error === null) callback(null, socket);
      else callback(error, null);
    };
    socket.on(connected, onConnect).on('error', settle).on('close', onClose);
  };

  /** From now on `inlet` gets what this socket receives. Without one, a byte ends the connection. */
  feed(socket: Socket, inlet: Inlet): void {
    const slot = this.#inlets.get(socket);
    if (slot === undefined) throw new RangeError('a socket of somebody else');
    slot.inlet = inlet;
    socket.resume();
  }

  /** Gives up what is being opened. */
  close(): void {
    for (const socket of this.#opening) socket.destroy();
  }

  #openTcp(host: string, port: number): Socket {
    const { lookup } = this.#settings;
    const slot: Slot = { inlet: undefined };
    const onread = readingInto(this.#readBuffer, slot, () => socket.destroy());
    const socket = connectTcp({ host, port, lookup, autoSelectFamily: true, onread });
    this.#inlets.set(socket, slot);
    return socket;
  }

  #openTls(host: string, port: number): Socket {
    const { lookup, certificateAuthorities } = this.#settings;
    const key = `${host} ${port}`;
    const session = this.#sessions.get(key);
    const slot: Slot = { inlet: undefined };
    const buffer = Buffer.allocUnsafeSlow(tlsReadBufferBytes);
    // The types know these options for TCP alone; a TLS socket hands them on.
    const options: ConnectionOptions & { autoSelectFamily: boolean; onread: ReadInto } = {
      onread: readingInto(buffer, slot, () => socket.destroy()),
      host,
      port,
      lookup,
      autoSelectFamily: true,
      ALPNProtocols: ['http/1.1'],
      // An address is no server name (RFC 6066).
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(session === undefined ? {} : { session }),
      ...(certificateAuthorities === undefined ? {} : { ca: [...certificateAuthorities] }),
    };
    // Loaded when it is needed: a start need not wait for it.
    const socket = process.getBuiltinModule('node:tls').connect(options);
    socket.on('session', (given: Buffer) => {
      if (this.#sessions.size >= sessionsMax) this.#sessions.clear();
      this.#sessions.set(key, given);
    });
    this.#inlets.set(socket, slot);
    return socket;
  }
}

function readingInto(buffer: Buffer, slot: Slot, onUnasked: () => void): ReadInto {
  return {
    buffer,
    callback: (count) => {
      if (slot.inlet === undefined) onUnasked();
      else slot.inlet.receive(buffer.subarray(0, count));
      return true;
    },
  };
}
