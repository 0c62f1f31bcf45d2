/** The part of a fetch request that says where to go on. */
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

/** A function of a broker's, which knows the broker as `this`. */
export type Fetch<Broker> = (this: Broker, request: FetchRequest) => Promise<FetchResponse>;

/**
 * Lets a consumer that is behind fetch while it works, as Kafka's own does; kafkajs fetches nothing before it is done with
 * all that it has. What will be asked for next is asked for at once, and kept until it is. Where something else is asked
 * for instead, after a seek or with other partitions, that is not used: an answer depends on nothing but the request.
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
      answer.catch(() => undefined); // who asks for it will see
      ahead.set(this, { request: JSON.stringify(next), response: answer });
    }
    return response;
  };
}

/** The request behind another one, undefined where the broker has no more yet: it would be kept waiting. */
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
