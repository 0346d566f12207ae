import { read, type Event } from "./event.js";
import { InvalidWebhook, parsed, tooLarge } from "./refusal.js";

/** How far a request's time may be from the clock, in seconds, to both sides. */
export const TOLERANCE = 300;
/** The largest body, in bytes. */
export const MAX_SIZE = 1024 * 1024;
/** The header of the scheme "hex". */
export const DEFAULT_HEADER = "hookpost-signature-sha-256";

/**
 * "standard": Standard Webhooks 1.0, which covers id, time and body. "hex": HMAC of the body alone, as Logto sends; an
 * old request can be sent again by whoever saw it.
 */
export type Scheme = "standard" | "hex";

/** The headers of a request, in capitals or not. */
export type HeadersLike = Headers | Record<string, string | readonly string[] | undefined>;

export interface Options {
  /** Default "standard". */
  scheme?: Scheme;
  /** Seconds; default {@link TOLERANCE}. */
  tolerance?: number;
  /** Of the scheme "hex"; default {@link DEFAULT_HEADER}. */
  header?: string;
  /** Bytes; default {@link MAX_SIZE}. */
  maxSize?: number;
  /** Unix seconds, for tests. */
  now?: number;
}

const PREFIX = "whsec_";
/** Hookpost writes no white space at the beginning of its envelopes. */
const WRITTEN_ANEW = /^\{(\s+"|"(event|type|specversion)":\s)/;
const encoder = new TextEncoder();

/**
 * The event, if the request is authentic and of now. Rejects with InvalidWebhook, and nothing else, whatever comes in.
 *
 * `body`: the bytes as they came, before anything parsed them. `keys`: the webhook's signing keys, any of which may fit
 * (after a rotation: new and old).
 */
export async function verify(
  body: Uint8Array | ArrayBuffer | string,
  headers: HeadersLike,
  keys: string | readonly string[],
  options: Options = {},
): Promise<Event> {
  const { scheme = "standard", tolerance = TOLERANCE, header = DEFAULT_HEADER, maxSize = MAX_SIZE } = options;
  const raw = bytes(body);
  if (raw.length > maxSize) throw tooLarge(maxSize);
  const get = reader(headers);
  const secrets = usable(keys, scheme);
  let timestamp: Date | null = null;
  if (scheme === "hex") {
    await checkHex(raw, get, secrets, header);
  } else {
    const seconds = await checkStandard(raw, get, secrets);
    checkAge((options.now ?? Date.now() / 1000) - seconds, tolerance);
    timestamp = new Date(seconds * 1000);
  }
  return read(raw, get, timestamp);
}

function bytes(body: unknown): Uint8Array<ArrayBuffer> {
  if (typeof body === "string") return encoder.encode(body);
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) {
    const view = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
    return new Uint8Array(view); // a copy: the caller may reuse its buffer
  }
  throw parsed(`it is ${body === null ? "null" : typeof body}`);
}

/** Finds headers by their name in lower case; "" where there is none. */
function reader(headers: HeadersLike): (name: string) => string {
  if (isHeaders(headers)) return (name) => headers.get(name) ?? "";
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(headers ?? {})) {
    const first: unknown = Array.isArray(value) ? value[0] : value;
    if (typeof first === "string") values.set(name.toLowerCase(), first);
  }
  return (name) => values.get(name) ?? "";
}

/** Frameworks bring Headers of their own. */
function isHeaders(headers: HeadersLike): headers is Headers {
  return typeof headers?.get === "function";
}

function usable(keys: string | readonly string[], scheme: Scheme): Uint8Array<ArrayBuffer>[] {
  const given = [keys ?? []].flat().filter((key) => typeof key === "string" && key !== "") as string[];
  if (given.length === 0) throw new InvalidWebhook("no_key", "no signing key was given");
  return given.map((key) => (scheme === "hex" ? encoder.encode(key) : decoded(key)));
}

/** Standard Webhooks signs with what `whsec_` encodes in base64; other keys are taken as they are. */
function decoded(key: string): Uint8Array<ArrayBuffer> {
  if (!key.startsWith(PREFIX)) return encoder.encode(key);
  const encoded = key.slice(PREFIX.length).replace(/=+$/, "");
  if (!/^[A-Za-z0-9+/]+$/.test(encoded) || encoded.length % 4 === 1) {
    throw new InvalidWebhook("no_key", `a signing key is not base64 after "${PREFIX}"`);
  }
  return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
}

async function checkHex(
  body: Uint8Array<ArrayBuffer>,
  get: (name: string) => string,
  secrets: Uint8Array<ArrayBuffer>[],
  header: string,
): Promise<void> {
  const given = get(header.toLowerCase());
  if (given === "") throw new InvalidWebhook("missing_header", `there is no header ${header}`);
  const expected = await Promise.all(secrets.map((secret) => sign(secret, body)));
  compare(
    expected.map((mac) => Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join("")),
    [given],
    body,
  );
}

/** Resolves to the time of the attempt, unix seconds. */
async function checkStandard(
  body: Uint8Array<ArrayBuffer>,
  get: (name: string) => string,
  secrets: Uint8Array<ArrayBuffer>[],
): Promise<number> {
  const names = ["webhook-id", "webhook-timestamp", "webhook-signature"] as const;
  const missing = names.filter((name) => get(name) === "");
  if (missing.length > 0) throw new InvalidWebhook("missing_header", `there is no header ${missing.join(", ")}`);
  const [id, timestamp, signatures] = names.map(get) as [string, string, string];
  if (!/^[0-9]{1,11}$/.test(timestamp)) {
    throw new InvalidWebhook("bad_timestamp", "webhook-timestamp is not a number of seconds");
  }
  const head = encoder.encode(`${id}.${timestamp}.`);
  const content = new Uint8Array(head.length + body.length);
  content.set(head);
  content.set(body, head.length);
  const expected = await Promise.all(secrets.map((secret) => sign(secret, content)));
  compare(
    expected.map((mac) => `v1,${btoa(String.fromCharCode(...mac))}`),
    signatures.split(/\s+/),
    body,
  );
  return Number(timestamp);
}

function checkAge(age: number, tolerance: number): void {
  if (age > tolerance) {
    throw new InvalidWebhook("too_old", `it was sent ${age.toFixed()} s ago; compare the clocks`);
  }
  if (age < -tolerance) {
    throw new InvalidWebhook("too_new", `it was sent ${(-age).toFixed()} s ahead of this clock; compare the clocks`);
  }
}

async function sign(secret: Uint8Array<ArrayBuffer>, content: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, content));
}

function compare(expected: string[], given: string[], body: Uint8Array): void {
  let fits = false;
  for (const ours of expected) {
    for (const theirs of given) fits = equal(ours, theirs) || fits;
  }
  if (fits) return;
  if (WRITTEN_ANEW.test(new TextDecoder().decode(body.subarray(0, 64)))) {
    throw parsed("it was written anew, with white space that Hookpost does not send");
  }
  throw new InvalidWebhook("bad_signature", "no signature fits any of the keys");
}

/** In a time that does not depend on where they differ. */
function equal(ours: string, theirs: string): boolean {
  let difference = ours.length ^ theirs.length;
  for (let at = 0; at < ours.length; at++) difference |= ours.charCodeAt(at) ^ theirs.charCodeAt(at);
  return difference === 0;
}
