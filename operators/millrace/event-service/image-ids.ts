import type { Api } from '#runtime/api.ts';
import type { Clock } from '#runtime/clock.ts';
import { isDeleting } from '#runtime/finalizers.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { keyOf } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import { deployments, pods } from '../api/kinds.ts';
import { podsOf } from './migration.ts';

interface PodWithImages extends KubeObject {
  spec?: { containers?: Container[]; initContainers?: Container[] };
  status?: { containerStatuses?: ContainerStatus[]; initContainerStatuses?: ContainerStatus[] };
}
interface Container {
  name: string;
  image?: string;
}
interface ContainerStatus {
  name: string;
  imageID?: string;
}
interface Scale extends KubeObject {
  status?: { selector?: string };
}

/** How often the pods of a service are looked at. */
const lookEveryMs = 60_000;

/** What the nodes have taken the image of a service for: a tag can be pushed again, and then names another image. */
export class ImageIds {
  readonly #api: Api;
  readonly #clock: Clock;
  readonly #seen = new Map<string, { at: number; ids: string[] }>();

  constructor(api: Api, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** The ids of the service's image in the pods of its workload, as of the last minute; none for an image with a digest. */
  async ofWorkload(service: EventService, signal: AbortSignal): Promise<string[]> {
    const { namespace = '', name } = service.metadata;
    if (service.spec.image?.includes('@')) return [];
    const seen = this.#seen.get(keyOf(service));
    if (seen && this.#clock.now() - seen.at < lookEveryMs) return seen.ids;
    const deployment = service.spec.workload?.deployment ?? name;
    const scale = await this.#api.get<Scale>(deployments, namespace, deployment, { signal, subresource: 'scale' });
    const selector = scale?.status?.selector;
    const ids = selector ? await this.#idsOf(service, selector, signal) : [];
    this.#seen.set(keyOf(service), { at: this.#clock.now(), ids });
    return ids;
  }

  /** The ids of the service's image in the pods of a Job. */
  ofJob(service: EventService, job: string, signal: AbortSignal): Promise<string[]> {
    return this.#idsOf(service, podsOf(job), signal);
  }

  /** Forgets a service that is gone. */
  forget(key: string): void {
    this.#seen.delete(key);
  }

  async #idsOf({ metadata, spec }: EventService, labelSelector: string, signal: AbortSignal): Promise<string[]> {
    const { items } = await this.#api.list<PodWithImages>(pods, {
      namespace: metadata.namespace,
      labelSelector,
      signal,
    });
    const ids = items.filter((pod) => !isDeleting(pod)).flatMap((pod) => idsIn(pod, spec.image));
    return [...new Set(ids)].toSorted();
  }
}

function idsIn({ spec = {}, status = {} }: PodWithImages, image: string | undefined): string[] {
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const named = new Set(containers.filter((one) => one.image === image).map(({ name }) => name));
  return [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].flatMap(({ name, imageID }) =>
    named.has(name) && imageID ? [imageID] : [],
  );
}
