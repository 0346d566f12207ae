/** Why a request is not taken; the same words in every language. */
export type Reason =
  | "missing_header"
  | "bad_timestamp"
  | "too_old"
  | "too_new"
  | "bad_signature"
  | "malformed" // signed, but no JSON object
  | "body_parsed" // what was verified are not the bytes that came
  | "no_key" // none was given, or one that can't be used
  | "too_large";

/** The request must not be trusted. The text may be logged, it holds nothing secret. */
export class InvalidWebhook extends Error {
  override readonly name = "InvalidWebhook";

  constructor(
    readonly reason: Reason,
    message: string,
  ) {
    super(`${reason}: ${message}`);
  }

  /** What to answer with: 401 to what is not authentic, 400, 413, and 500 where this program is at fault. */
  get status(): number {
    switch (this.reason) {
      case "too_large":
        return 413;
      case "malformed":
        return 400;
      case "no_key":
      case "body_parsed":
        return 500;
      default:
        return 401;
    }
  }
}

/** For bytes that are gone, or are not those that came. */
export function parsed(why = "something else has read the request"): InvalidWebhook {
  const cure = "give the bytes of the request as they came";
  return new InvalidWebhook("body_parsed", `the body was parsed before verification (${why}); ${cure}`);
}

/** For a body of more than `most` bytes. */
export function tooLarge(most: number): InvalidWebhook {
  return new InvalidWebhook("too_large", `the body has more than ${most} bytes`);
}
