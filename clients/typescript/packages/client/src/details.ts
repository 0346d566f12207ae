import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

import type { FieldViolation, Particulars } from "./errors.js";

/** Reads a google.rpc.Status: ErrorInfo.reason, BadRequest and RetryInfo; everything else is passed over. */
export function details(status: Uint8Array): Particulars {
  const found: Particulars = {};
  for (const packed of fields(status).messages(3)) {
    const { strings, messages } = fields(packed);
    const [value = new Uint8Array()] = messages(2);
    switch (strings(1)[0]?.split("/").at(-1)) {
      case "google.rpc.ErrorInfo":
        found.reason = fields(value).strings(1)[0] ?? "";
        break;
      case "google.rpc.BadRequest":
        found.violations = fields(value).messages(1).map(violation);
        break;
      case "google.rpc.RetryInfo":
        found.retryDelayMs = fields(value).messages(1).map(milliseconds)[0] ?? 0;
    }
  }
  return found;
}

function violation(message: Uint8Array): FieldViolation {
  const { strings } = fields(message);
  return { field: strings(1)[0] ?? "", description: strings(2)[0] ?? "" };
}

function milliseconds(duration: Uint8Array): number {
  const { numbers } = fields(duration);
  return (numbers(1)[0] ?? 0) * 1000 + (numbers(2)[0] ?? 0) / 1e6;
}

/** A message's values by field number. */
function fields(message: Uint8Array) {
  const values: { number: number; value: Uint8Array | number }[] = [];
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) values.push({ number, value: reader.bytes() });
    else if (type === WireType.Varint) values.push({ number, value: Number(reader.int64()) });
    else reader.skip(type, number);
  }
  const messages = (wanted: number) =>
    values.flatMap(({ number, value }) => (number === wanted && typeof value !== "number" ? [value] : []));
  return {
    messages,
    strings: (wanted: number) => messages(wanted).map((value) => new TextDecoder().decode(value)),
    numbers: (wanted: number) =>
      values.flatMap(({ number, value }) => (number === wanted && typeof value === "number" ? [value] : [])),
  };
}
