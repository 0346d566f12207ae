import type { IncomingMessage, ServerResponse } from "node:http";

import type { Event } from "./event.js";
import type { ReceiverOptions } from "./fetch.js";
import { InvalidWebhook, parsed, tooLarge } from "./refusal.js";
import { MAX_SIZE, verify } from "./verify.js";

export type { ReceiverOptions } from "./fetch.js";

/** A request of Node's http, as it is or as Express, Connect or Next.js' API routes pass it on. */
export type NodeRequest = IncomingMessage & { body?: unknown };

/**
 * For Express and Node's http: `app.post("/hook", receive({ keys }, async (event) => { … }))`. It reads the raw body
 * itself, so it goes before `express.json()`; behind `express.raw({ type: "*\/*" })` it takes what that read.
 *
 * Answers 204 unless `handle` has answered, or a refusal. When `handle` fails, `next` gets its error; without one the
 * answer is 500. Hookpost tries again after either.
 */
export function receive<Request extends NodeRequest, Response extends ServerResponse>(
  options: ReceiverOptions,
  handle: (event: Event, request: Request, response: Response) => unknown,
): (request: Request, response: Response, next?: (error: unknown) => void) => Promise<void> {
  return async (request, response, next) => {
    let event: Event;
    try {
      event = await verifyRequest(request, options);
    } catch (error) {
      if (error instanceof InvalidWebhook) return answer(response, error.status, error.message);
      throw error;
    }
    try {
      await handle(event, request, response);
      if (!response.headersSent) answer(response, 204);
    } catch (error) { // be it an InvalidWebhook: this one is of the program itself
      if (next !== undefined) next(error);
      else if (!response.headersSent) answer(response, 500);
    }
  };
}

/** Reads the body and verifies it. Rejects with InvalidWebhook. */
export async function verifyRequest(request: NodeRequest, options: ReceiverOptions): Promise<Event> {
  const body = await bodyOf(request, options.maxSize ?? MAX_SIZE);
  return verify(body, request.headers, options.keys, options);
}

async function bodyOf(request: NodeRequest, most: number): Promise<Uint8Array | string> {
  if (request.body instanceof Uint8Array || typeof request.body === "string") return request.body;
  if (request.readableDidRead) throw parsed();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      size += chunk.length;
      if (size > most) throw tooLarge(most); // what is left is discarded once the answer is written
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof InvalidWebhook ? error : new InvalidWebhook("malformed", "the body broke off");
  }
  if (size === 0 && request.body) throw parsed(`request.body is ${typeof request.body}`);
  return Buffer.concat(chunks);
}

function answer(response: ServerResponse, status: number, text = ""): void {
  response.statusCode = status;
  if (text !== "") response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(text);
}
