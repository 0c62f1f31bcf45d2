/** An error response, as the fake server throws it. */
export class ApiStatus extends Error {
  override name = 'ApiStatus';
  readonly code: number;
  readonly body: object;

  constructor(code: number, body: object, message: string) {
    super(message);
    this.code = code;
    this.body = body;
  }
}

export function apiStatus(code: number, reason: string, message: string): ApiStatus {
  return new ApiStatus(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }, message);
}
