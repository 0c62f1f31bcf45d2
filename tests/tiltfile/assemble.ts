// What Tilt makes of the calls of a Tiltfile: its resources, or its refusal. The rules and the messages are those of Tilt's loader,
// internal/tiltfile/tiltfile_state.go and internal/tiltfile/k8s.go in github.com/tilt-dev/tilt.
import { parseAllDocuments } from 'yaml';

/** A call of one of Tilt's functions, with its arguments by position and by name. */
export interface Call {
  call: string;
  args: unknown[];
  named: Record<string, unknown>;
}

/** An object of Kubernetes. */
// oxlint-disable-next-line typescript/no-explicit-any -- objects of many kinds, which only some functions look into
type KubeObject = Record<string, any> & {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
};

/** A resource of Tilt: what it deploys together, after the resources that it depends on. */
export interface TiltResource {
  name: string;
  objects: KubeObject[];
  /** the images of its containers, and of the fields that k8s_kind names */
  images: string[];
  labels: string[];
  dependencies: string[];
  forwards: Call[];
}

/** @throws Error where Tilt refuses, or drops something with nothing but a warning: then `tilt up` is not what was meant */
export function assemble(calls: readonly Call[]): Map<string, TiltResource> {
  const objects = registered(calls);
  const resources = new Map<string, TiltResource>();
  const remaining = new Set(objects.filter((object) => !isWorkload(object, calls)));
  addWorkloads(
    objects.filter((object) => !remaining.has(object)),
    remaining,
    calls,
    resources,
  );
  const called = (name: string) => calls.filter(({ call }) => call === name);
  for (const call of called('k8s_resource')) applyOptions(call, objects, remaining, resources);
  for (const call of called('local_resource')) addOptions(emptyResource(call.args[0] as string, resources), call);
  assertImagesAreUsed(calls, resources);
  assertDependenciesExist(resources);
  return resources;
}

/** Every object of k8s_yaml. */
function registered(calls: readonly Call[]): KubeObject[] {
  const byAddress = new Map<string, KubeObject>();
  for (const { args } of calls.filter(({ call }) => call === 'k8s_yaml')) {
    const objects = parseAllDocuments(args[0] as string)
      .map((document) => document.toJS() as KubeObject | null)
      .filter((object) => object !== null);
    if (objects.length === 0) throw new Error('Empty YAML passed to k8s_yaml');
    for (const object of objects) {
      const { apiVersion, kind, metadata } = object;
      const address = [apiVersion, kind, metadata.namespace, metadata.name].join(' ');
      if (byAddress.has(address)) throw new Error(`Duplicate YAML: ${kind} ${metadata.name}`);
      byAddress.set(address, object);
    }
  }
  return [...byAddress.values()];
}

/** Tilt's regular expression of a kind has no anchors: `Kafka` is KafkaNodePool, too. */
const kindCalls = (calls: readonly Call[], { kind }: KubeObject): Call[] =>
  calls.filter(({ call, args }) => call === 'k8s_kind' && new RegExp(args[0] as string, 'i').test(kind));

/** Tilt takes what has an image, and each kind of k8s_kind, for a workload: no longer an object, but a resource. */
const isWorkload = (object: KubeObject, calls: readonly Call[]): boolean =>
  kindCalls(calls, object).length > 0 || imagesIn(object, calls).length > 0;

/** The template of the pods of an object. */
const podTemplateOf = ({ kind, spec }: KubeObject) => (kind === 'CronJob' ? spec.jobTemplate.spec : spec)?.template;

function imagesIn(object: KubeObject, calls: readonly Call[]): string[] {
  const { initContainers = [], containers = [] } = (object.kind === 'Pod' ? object : podTemplateOf(object))?.spec ?? {};
  const ofPods = [...initContainers, ...containers].map(({ image }: { image: string }) => image);
  const paths = kindCalls(calls, object).flatMap(({ named }) => (named['image_json_path'] as string | undefined) ?? []);
  return [...ofPods, ...paths.map((path) => valueAt(object, path))].filter((image) => image !== undefined);
}

/** The value at a JSONPath such as `{.spec.image}`, which is no longer than that. */
function valueAt(object: KubeObject, path: string): string | undefined {
  const keys = path.slice(2, -1).split('.');
  return keys.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object) as string;
}

/** Each workload is a resource, which has the Services of its pods, too. */
function addWorkloads(
  workloads: KubeObject[],
  remaining: Set<KubeObject>,
  calls: readonly Call[],
  resources: Map<string, TiltResource>,
): void {
  const names = namesOf(workloads, calls);
  for (const [index, workload] of workloads.entries()) {
    const resource = emptyResource(names[index]!, resources);
    resource.images.push(...imagesIn(workload, calls));
    resource.objects.push(workload);
    const labels = (podTemplateOf(workload)?.metadata?.labels ?? {}) as Record<string, string>;
    for (const object of remaining) {
      if (!selects(object, labels)) continue;
      if (![undefined, workload.metadata.namespace].includes(object.metadata.namespace)) continue;
      resource.objects.push(object);
      remaining.delete(object);
    }
  }
}

function selects({ kind, spec }: KubeObject, labels: Record<string, string>): boolean {
  const selector = Object.entries(kind === 'Service' ? (spec.selector ?? {}) : {});
  return selector.length > 0 && selector.every(([key, value]) => labels[key] === value);
}

/** The names that workload_to_resource_function gives; otherwise the shortest that no other workload could have. */
function namesOf(workloads: KubeObject[], calls: readonly Call[]): string[] {
  const given = calls.filter(({ call }) => call === 'resource_name_of');
  const nameGiven = ({ kind, metadata }: KubeObject) =>
    given.find(({ args: [identity] }) => {
      const { kind: ofKind, name, namespace } = identity as { kind: string; name: string; namespace: string };
      return ofKind === kind && name === metadata.name && namespace === (metadata.namespace ?? 'default');
    })?.args[1] as string;
  const names = given.length > 0 ? workloads.map(nameGiven) : shortestNames(workloads);
  const doubled = names.find((name, index) => names.indexOf(name) < index);
  if (doubled !== undefined) throw new Error(`two workloads mapped to resource name '${doubled}'`);
  return names;
}

function shortestNames(workloads: KubeObject[]): string[] {
  const wanted = workloads.flatMap(fragmentsOf);
  return workloads.map((workload) =>
    fragmentsOf(workload).find((name) => wanted.filter((one) => one === name).length === 1)!,
  );
}

/** What an object may be called: name, name:kind, name:kind:namespace, name:kind:namespace:group. */
function fragmentsOf({ apiVersion, kind, metadata: { name, namespace = 'default' } }: KubeObject): string[] {
  const group = apiVersion.includes('/') ? apiVersion.split('/')[0]! : 'core';
  const parts = [name, kind, namespace, group].map((part) => part.toLowerCase());
  return parts.map((_, index) => parts.slice(0, index + 1).join(':'));
}

function emptyResource(name: string, resources: Map<string, TiltResource>): TiltResource {
  if (resources.has(name)) throw new Error(`k8s_resource named "${name}" already exists`);
  const resource = { name, objects: [], images: [], labels: [], dependencies: [], forwards: [] };
  resources.set(name, resource);
  return resource;
}

/** A call of k8s_resource. Tilt looks at them one after the other, when all objects are registered. */
function applyOptions(
  call: Call,
  objects: KubeObject[],
  remaining: Set<KubeObject>,
  resources: Map<string, TiltResource>,
): void {
  const workload = (call.args[0] ?? call.named['workload']) as string | undefined;
  const newName = call.named['new_name'] as string | undefined;
  const fragments = (call.named['objects'] as string[] | undefined) ?? [];
  if (workload === undefined && fragments.length === 0)
    throw new Error("k8s_resource doesn't specify a workload or any objects");
  const resource = workload === undefined ? emptyResource(newName!, resources) : resources.get(workload);
  if (!resource) throw new Error(`k8s_resource specified unknown resource "${workload}"`);
  if (newName !== undefined && newName !== resource.name) {
    resources.delete(resource.name);
    Object.assign(emptyResource(newName, resources), { ...resource, name: newName });
  }
  const target = resources.get(newName ?? resource.name)!;
  for (const fragment of fragments) {
    const object = identified(fragment, objects, remaining);
    remaining.delete(object);
    target.objects.push(object);
  }
  addOptions(target, call);
}

function identified(fragment: string, objects: KubeObject[], remaining: Set<KubeObject>): KubeObject {
  const found = objects.filter((object) => fragmentsOf(object).includes(fragment.toLowerCase()));
  if (found.length === 0) throw new Error(`No object identified by the fragment "${fragment}" could be found`);
  if (found.length > 1) throw new Error(`"${fragment}" is not a unique fragment`);
  if (!remaining.has(found[0]!))
    throw new Error(`No object identified by the fragment "${fragment}" could be found in remaining YAML`);
  return found[0]!;
}

/** The options of several calls add up. */
function addOptions(resource: TiltResource, { named }: Call): void {
  const option = <Value>(name: string) => (named[name] as Value[] | undefined) ?? [];
  resource.labels.push(...option<string>('labels'));
  resource.dependencies.push(...option<string>('resource_deps'));
  resource.forwards.push(...option<Call>('port_forwards'));
}

/** The resources that use an image of docker_build; Tilt puts its tag into them. */
export function usersOf(image: string, resources: Map<string, TiltResource>): TiltResource[] {
  const hasName = (reference: string) => reference === image || reference.startsWith(`${image}:`);
  return [...resources.values()].filter(({ images }) => images.some(hasName));
}

function assertImagesAreUsed(calls: readonly Call[], resources: Map<string, TiltResource>): void {
  for (const { args, named } of calls.filter(({ call }) => call === 'docker_build')) {
    const image = args[0] as string;
    const users = usersOf(image, resources);
    if (users.length === 0) throw new Error(`Image not used in any Kubernetes config: ${image}`);
    // of no pod: Tilt fails when it deploys the object
    const custom = users.find(({ objects }) => podTemplateOf(objects[0]!) === undefined);
    if (custom && named['entrypoint'])
      throw new Error(`could not inject command ${named['entrypoint'] as string} into entity: ${custom.name}`);
  }
}

function assertDependenciesExist(resources: Map<string, TiltResource>): void {
  for (const { name, dependencies } of resources.values()) {
    const unknown = dependencies.find((one) => one === name || !resources.has(one));
    if (unknown !== undefined)
      throw new Error(`resource ${name} specified a dependency on unknown resource ${unknown}`);
  }
}
