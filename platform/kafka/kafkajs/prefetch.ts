import type { Fetch, FetchRequest, FetchResponse } from './fetch.ts';

/**
 * Lets a consumer that lags fetch while it handles a batch, as Kafka's Java client does; kafkajs only fetches after it has
 * handled the whole fetch before. After each response it sends the expected next request at once, and keeps the response.
 * If the consumer sends another request instead (after a seek, or with other partitions), the kept response is discarded.
 */
export function prefetching<Broker extends object>(fetch: Fetch<Broker>): Fetch<Broker> {
  const ahead = new WeakMap<Broker, { request: string; response: Promise<FetchResponse> }>();
  return async function (request) {
    const prefetched = ahead.get(this);
    ahead.delete(this);
    const isWanted = prefetched?.request === JSON.stringify(request);
    const response = await (isWanted ? prefetched.response : fetch.call(this, request));
    const next = following(request, response);
    if (next) {
      const answer = fetch.call(this, next);
      answer.catch(() => undefined); // the next request gets the error
      ahead.set(this, { request: JSON.stringify(next), response: answer });
    }
    return response;
  };
}

/** The expected next request; undefined if the broker has no more messages, because the request would wait for them. */
function following(request: FetchRequest, { responses }: FetchResponse): FetchRequest | undefined {
  const answers = new Map(
    responses.flatMap(({ topicName, partitions }) =>
      partitions.map((answer) => [`${topicName}/${answer.partition}`, answer] as const),
    ),
  );
  let hasMore = false;
  const topics = request.topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map((asked) => {
      const answer = answers.get(`${topic}/${asked.partition}`);
      const next = answer?.messages.nextOffset;
      if (!answer || next === undefined || String(next) === asked.fetchOffset) return asked;
      hasMore ||= BigInt(answer.highWatermark) > next;
      return { ...asked, fetchOffset: String(next) };
    }),
  }));
  return hasMore ? { ...request, topics } : undefined;
}
