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
  /** `host:port`; else HOOKPOST_ADDRESS, else 127.0.0.1:50051. */
  address?: string;
  /** Else HOOKPOST_API_KEY. */
  apiKey?: string;
  /** PEM of the authorities to trust instead of the system's; else HOOKPOST_CA_FILE. Asks for TLS on loopback too. */
  caFile?: string;
  /** Allows plain text, API key included, to another host than this one. Loopback needs no leave. */
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

/** A channel; it connects at the first call. */
export function connect(options: ClientOptions): Channel {
  return new Channel(addressOf(options), credentialsOf(options), CHANNEL);
}

export function addressOf(options: ClientOptions): string {
  const address = options.address || process.env["HOOKPOST_ADDRESS"] || DEFAULT_ADDRESS;
  if (!/^.+:\d+$/.test(address)) throw new TypeError(`address "${address}": must be host:port`);
  return address;
}

/** TLS everywhere but on loopback, unless told otherwise. */
export function credentialsOf(options: ClientOptions): ChannelCredentials {
  const caFile = options.caFile || process.env["HOOKPOST_CA_FILE"];
  if (options.insecure && options.caFile) throw new TypeError("caFile and insecure exclude each other");
  if (options.insecure || (!caFile && isLoopback(addressOf(options)))) return credentials.createInsecure();
  return credentials.createSsl(caFile ? readFileSync(caFile) : null);
}

function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(":")).toLowerCase();
  return host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Sends the API key with every call. gRPC's own call credentials refuse channels without TLS. */
export function authorization(options: ClientOptions): Interceptor[] {
  const apiKey = options.apiKey || process.env["HOOKPOST_API_KEY"];
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
