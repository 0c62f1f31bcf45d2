import { PlatformError } from '#platform/errors';

/** One fault of a request; `field` is a JSON pointer into the body, or the name of a parameter or header. */
export interface FieldError {
  field: string;
  message: string;
}

export interface ProblemOptions {
  /** the end of the problem's `type`; default: that of its status */
  type?: string;
  detail?: string;
  errors?: FieldError[];
  headers?: Record<string, string>;
  cause?: unknown;
}

const titles: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

const slugs: Record<number, string> = { 400: 'bad-input' };

/** An error with an answer: RFC 9457 `application/problem+json`. */
export class Problem extends PlatformError {
  override name = 'Problem';
  readonly status: number;
  readonly title: string;
  readonly type: string;
  readonly errors: FieldError[] | undefined;
  readonly headers: Record<string, string>;

  constructor(status: number, options: ProblemOptions = {}) {
    const title = titles[status] ?? 'Error';
    super(
      'ERR_HTTP_PROBLEM',
      options.detail ?? title,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.status = status;
    this.title = title;
    this.type = options.type ?? slugs[status] ?? title.toLowerCase().replaceAll(' ', '-');
    this.errors = options.errors;
    this.headers = options.headers ?? {};
  }

  /** The body of the answer; `instance` is the requested path. */
  toJSON(instance: string): Record<string, unknown> {
    return {
      type: `urn:millrace:problem:${this.type}`,
      title: this.title,
      status: this.status,
      detail: this.message,
      instance,
      ...(this.errors && { errors: this.errors }),
    };
  }
}

export const badRequest = (detail: string, errors?: FieldError[]) =>
  new Problem(400, { detail, ...(errors && { errors }) });
export const notFound = (detail: string) => new Problem(404, { detail });
export const conflict = (detail: string, errors?: FieldError[]) =>
  new Problem(409, { detail, ...(errors && { errors }) });
export const preconditionFailed = (detail: string) => new Problem(412, { detail });
export const unprocessable = (detail: string, errors?: FieldError[]) =>
  new Problem(422, { detail, ...(errors && { errors }) });

/** 503 with `Retry-After`: the caller should try again after this many seconds. */
export const unavailable = (detail: string, retryAfterSeconds = 1, cause?: unknown) =>
  new Problem(503, { detail, headers: { 'Retry-After': String(retryAfterSeconds) }, cause });

/** 504 without `Retry-After`: the command may have taken effect, so that a repetition may do it twice. */
export const outcomeUnknown = (detail: string, cause?: unknown) =>
  new Problem(504, { type: 'outcome-unknown', detail, cause });
