import type { Event } from "./event.js";
import { InvalidWebhook, parsed, tooLarge } from "./refusal.js";
import { MAX_SIZE, verify, type Options } from "./verify.js";

/** What an adapter needs: the webhook's signing keys, and how to verify. */
export interface ReceiverOptions extends Options {
  keys: string | readonly string[];
}

/**
 * For everything that handles a Request: a Next.js route (`export const POST = receive(…)`), Hono
 * (`app.post("/hook", (c) => hook(c.req.raw))`), Deno, Bun, workers.
 *
 * Answers 204, or what `handle` returns, or a refusal. When `handle` throws, the framework answers 500 and Hookpost
 * tries again.
 */
export function receive(
  options: ReceiverOptions,
  handle: (event: Event, request: Request) => Response | void | Promise<Response | void>,
): (request: Request) => Promise<Response> {
  return async (request) => {
    let event: Event;
    try {
      event = await verifyRequest(request, options);
    } catch (error) {
      if (error instanceof InvalidWebhook) return new Response(error.message, { status: error.status });
      throw error;
    }
    return (await handle(event, request)) ?? new Response(null, { status: 204 });
  };
}

/** Reads the body and verifies it. Rejects with InvalidWebhook. */
export async function verifyRequest(request: Request, options: ReceiverOptions): Promise<Event> {
  if (request.bodyUsed || request.body?.locked) throw parsed();
  return verify(await bodyOf(request, options.maxSize ?? MAX_SIZE), request.headers, options.keys, options);
}

async function bodyOf(request: Request, most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  try {
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      size += part.value.length;
      if (size > most) {
        void reader?.cancel().catch(() => undefined);
        throw tooLarge(most);
      }
      chunks.push(part.value);
    }
  } catch (error) {
    throw error instanceof InvalidWebhook ? error : new InvalidWebhook("malformed", "the body broke off");
  }
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}
