/** A number for JSON.stringify, with each of its digits: JavaScript would round it. */
export const rawJson = (JSON as unknown as { rawJSON(digits: string): unknown }).rawJSON;
