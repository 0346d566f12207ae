/**
 * Verifies what Hookpost sends: `const event = await verify(body, headers, keys)`, or one error, InvalidWebhook, with a
 * reason. No dependencies; WebCrypto alone, so it runs at the edge too.
 *
 * Adapters: `@hookpost/receiver/express` (Express, Node's http), `@hookpost/receiver/fetch` (Next.js, Hono, Deno, Bun).
 */
export type { Event } from "./event.js";
export { InvalidWebhook, type Reason } from "./refusal.js";
export { DEFAULT_HEADER, MAX_SIZE, TOLERANCE, verify } from "./verify.js";
export type { HeadersLike, Options, Scheme } from "./verify.js";
