import { readFileSync } from "node:fs";

import {
  Channel,
  InterceptingCall,
  credentials,
  type ChannelCredentials,
  type ChannelOptions,
  type Interceptor,
} from "@grpc/grpc-js";

import { SERVICE_CONFIG, VERSION } from "./generated/embedded.js";

const DEFAULT_ADDRESS = "127.0.0.1:50051";

/** Where Hookpost is and who calls; what is left out comes from the environment. */
export interface ClientOptions {
  /**
   * `host:port`, with `https://` or `http://` before it to say whether by TLS; without, TLS is on unless the host is
   * this machine. Else HOOKPOST_ADDRESS, else 127.0.0.1:50051.
   */
  address?: string;
  /** Else HOOKPOST_API_KEY, else the content of the file HOOKPOST_API_KEY_FILE. */
  apiKey?: string;
  /** PEM of the authorities to trust instead of Node's; else HOOKPOST_CA. */
  caFile?: string;
  /** PEM, for a server that asks for a client's certificate; else HOOKPOST_CLIENT_CERT. */
  certFile?: string;
  /** Likewise; else HOOKPOST_CLIENT_KEY. */
  keyFile?: string;
  /** If the server's certificate is for another name than the address has. */
  serverName?: string;
  /** Allows the API key to go to another machine without TLS. */
  insecure?: boolean;
  /** Limit for a call, its retries included, in milliseconds; default {@link TIMEOUT_MS}. */
  timeoutMs?: number;
}

const CHANNEL: ChannelOptions = {
  "grpc.service_config": SERVICE_CONFIG,
  "grpc.primary_user_agent": `hookpost-typescript/${VERSION}`,
  // As often as the server allows, and only while a call is under way.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 15_000,
  "grpc.keepalive_permit_without_calls": 0,
};

/** How to reach the server, settled. */
export interface Connection {
  /** As gRPC has it. */
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly apiKey: string;
}

/** Throws TypeError for options that do not fit together, and what reading a file throws. */
export function settle(options: ClientOptions): Connection {
  const address = options.address || variable("ADDRESS") || DEFAULT_ADDRESS;
  const [, scheme, target = ""] = /^(https?:\/\/)?(.*?)\/*$/.exec(address) ?? [];
  if (!/^(unix:.+|.+:\d+)$/.test(target)) throw new TypeError(`address "${address}": must be host:port`);
  const apiKey = options.apiKey || variable("API_KEY").trim() || fromFile(variable("API_KEY_FILE"));
  const local = isLocal(target);
  if (scheme === "https://" || (scheme === undefined && !local)) {
    return { target, credentials: secured(options), apiKey };
  }
  if (apiKey && !local && !options.insecure) {
    const cure = "say https://, or insecure if the way is safe";
    throw new TypeError(`the API key would go to ${target} without TLS: ${cure}`);
  }
  return { target, credentials: credentials.createInsecure(), apiKey };
}

/** A channel; it connects at the first call. */
export function open(connection: Connection, serverName = ""): Channel {
  const name = serverName
    ? { "grpc.ssl_target_name_override": serverName, "grpc.default_authority": serverName }
    : {};
  return new Channel(connection.target, connection.credentials, { ...CHANNEL, ...name });
}

function secured(options: ClientOptions): ChannelCredentials {
  const authorities = options.caFile || variable("CA");
  const certificate = options.certFile || variable("CLIENT_CERT");
  const key = options.keyFile || variable("CLIENT_KEY");
  if (!certificate !== !key) throw new TypeError("certFile and keyFile belong together");
  return credentials.createSsl(pem(authorities), pem(key), pem(certificate));
}

function pem(name: string): Buffer | null {
  return name ? readFileSync(name) : null;
}

function variable(name: string): string {
  return process.env[`HOOKPOST_${name}`] ?? "";
}

function fromFile(name: string): string {
  return name ? readFileSync(name, "ascii").trim() : "";
}

function isLocal(target: string): boolean {
  const host = target.slice(0, target.lastIndexOf(":")).toLowerCase();
  return target.startsWith("unix:") || host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Sends the API key with every call. gRPC's own call credentials refuse channels without TLS. */
export function authorization({ apiKey }: Connection): Interceptor[] {
  if (!apiKey) return [];
  return [
    (call, next) =>
      new InterceptingCall(next(call), {
        start(metadata, listener, proceed) {
          metadata.set("authorization", `Bearer ${apiKey}`);
          proceed(metadata, listener);
        },
      }),
  ];
}

/** Ends calls that set no deadline and are no streams. */
export function limit(timeoutMs: number): Interceptor {
  return (call, next) => {
    const streams = call.method_definition.requestStream || call.method_definition.responseStream;
    return new InterceptingCall(next(streams || call.deadline ? call : { ...call, deadline: Date.now() + timeoutMs }));
  };
}
