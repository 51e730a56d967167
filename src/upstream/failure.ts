/** How an outbound call failed. */
export type UpstreamFailureKind =
  /** The guard refused the address. */
  | 'forbidden'
  | 'dns'
  | 'connect'
  | 'tls'
  /** The caller gave it up. */
  | 'lost'
  | 'timeout-connect'
  | 'timeout-headers'
  | 'timeout-idle'
  | 'timeout-total'
  | 'reset'
  | 'aborted'
  | 'protocol'
  | 'too-large';

/**
 * An outbound call that did not end well. `sent` is false when no byte of the request can have
 * reached the peer, so that sending it again elsewhere cannot do anything twice. The message names
 * no path, query or credential.
 */
export class UpstreamFailure extends Error {
  readonly kind: UpstreamFailureKind;
  readonly sent: boolean;

  constructor(kind: UpstreamFailureKind, message: string, sent: boolean, cause?: unknown) {
    super(message, { cause });
    this.name = 'UpstreamFailure';
    this.kind = kind;
    this.sent = sent;
  }
}

const kindByCode: Readonly<Record<string, UpstreamFailureKind>> = {
  ENOTFOUND: 'dns',
  ENODATA: 'dns',
  ESERVFAIL: 'dns',
  ETIMEOUT: 'dns',
  EAI_AGAIN: 'dns',
  EAI_FAIL: 'dns',
  EAI_NODATA: 'dns',
  EAI_NONAME: 'dns',
  ECONNREFUSED: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  EADDRNOTAVAIL: 'connect',
  EACCES: 'connect',
  EMFILE: 'connect',
  ETIMEDOUT: 'timeout-connect',
  UND_ERR_CONNECT_TIMEOUT: 'timeout-connect',
  UND_ERR_PRX_CONN: 'connect',
  UND_ERR_PRX_TLS: 'tls',
  UND_ERR_SOCKS5: 'connect',
  EPROTO: 'tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls',
  UNABLE_TO_GET_ISSUER_CERT: 'tls',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls',
  CERT_HAS_EXPIRED: 'tls',
  CERT_NOT_YET_VALID: 'tls',
  UND_ERR_HEADERS_OVERFLOW: 'protocol',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'reset',
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: 'protocol',
};

/** Names the failure behind an error of the transport. `sent`: a connection had been given the request. */
export function classifyFailure(error: unknown, sent: boolean): UpstreamFailure {
  if (error instanceof UpstreamFailure) return error;
  const code = codeOf(error);
  const kind = kindOf(code, error, sent);
  // A parser error carries bytes of the answer, which must not get into a log.
  if (isParserError(error))
    return new UpstreamFailure(kind, `the upstream call failed: ${error.message}`, sent);
  return new UpstreamFailure(kind, `the upstream call failed: ${code || kind}`, sent, error);
}

function kindOf(code: string, error: unknown, sent: boolean): UpstreamFailureKind {
  const known = kindByCode[code];
  if (known === 'timeout-connect' && sent) return 'reset';
  if (known !== undefined) return known;
  if (isParserError(error)) return 'protocol';
  if (code.startsWith('ERR_TLS_') || code.startsWith('ERR_SSL_') || code.startsWith('CERT_'))
    return 'tls';
  if (!sent && isTlsHandshakeCut(error)) return 'tls';
  // undici reports some responses that break the protocol like a cut connection.
  if (error instanceof Error && error.message.startsWith('bad ')) return 'protocol';
  return sent ? 'reset' : 'connect';
}

function isParserError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'HTTPParserError';
}

function isTlsHandshakeCut(error: unknown): boolean {
  return (
    error instanceof Error && error.message.includes('before secure TLS connection was established')
  );
}

/** The first code found on the error, what it aggregates, or its causes. */
function codeOf(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 4) return '';
  if ('code' in error && typeof error.code === 'string' && error.code !== '') return error.code;
  if (error instanceof AggregateError) {
    for (const inner of error.errors) {
      const code = codeOf(inner, depth + 1);
      if (code !== '') return code;
    }
  }
  return codeOf(error.cause, depth + 1);
}
