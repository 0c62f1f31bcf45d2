/** The part of a fetch request that has the next offsets. */
interface FetchedTopic {
  topic: string;
  partitions: { partition: number; fetchOffset: string; maxBytes: number }[];
}

export interface FetchRequest {
  topics: FetchedTopic[];
}

export interface FetchResponse {
  responses: {
    topicName: string;
    partitions: { partition: number; highWatermark: string; messages: { offset: bigint }[] }[];
  }[];
}

/** A method of a broker. */
export type Fetch<Broker> = (this: Broker, request: FetchRequest) => Promise<FetchResponse>;

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
  const offsets = new Map<string, bigint>();
  let hasMore = false;
  for (const { topicName, partitions } of responses) {
    for (const { partition, highWatermark, messages } of partitions) {
      const last = messages.at(-1);
      if (!last) continue;
      const next = last.offset + 1n;
      offsets.set(`${topicName}/${partition}`, next);
      hasMore ||= BigInt(highWatermark) > next;
    }
  }
  if (!hasMore) return undefined;
  const topics = request.topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map((asked) => {
      const next = offsets.get(`${topic}/${asked.partition}`);
      return next === undefined ? asked : { ...asked, fetchOffset: String(next) };
    }),
  }));
  return { ...request, topics };
}
