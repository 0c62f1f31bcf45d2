"""Runs a Tiltfile in a Starlark interpreter and prints, as JSON, what it asks Tilt for.

Tilt's functions are recorders here; helm and kustomize are the real programs, so that what is declared is what the charts make.
assemble.ts does with the calls what Tilt does with them.
Usage: interpret.py TILTFILE CONTEXT [SETTING=true ...]
"""

import json
import subprocess
import sys

import starlark

path, context, *settings = sys.argv[1:]
calls = []
between = "\n---\n"


def recorder(name, result=None):
    def record(*args, **kwargs):
        calls.append({"call": name, "args": list(args), "named": kwargs})
        return {"call": name, "args": list(args), "named": kwargs} if result is None else result

    return record


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def decode_yaml_stream(text):
    try:
        return [json.loads(document) for document in text.split(between)]
    except json.JSONDecodeError:
        # the project's own parser reads YAML
        script = "let t='';for await(const c of process.stdin)t+=c;const {parseAllDocuments:p}=await import('yaml');console.log(JSON.stringify(p(t).map((d)=>d.toJS()).filter(Boolean)))"
        return json.loads(run("node", "--input-type=module", "-e", script, input=text))


def encode_yaml_stream(objects):
    return between.join(json.dumps(item) for item in objects)


def helm(chart, name, namespace, values=(), set=(), kube_version="1.20.0"):
    """The default is the version of a Helm that was built without one. As in Tilt, each object gets the namespace."""
    command = ["helm", "template", name, chart, "--namespace", namespace, "--kube-version", kube_version]
    for file in values:
        command += ["--values", file]
    for value in set:
        command += ["--set", value]
    objects = decode_yaml_stream(run(*command))
    for item in objects:
        item["metadata"].setdefault("namespace", namespace)
    return encode_yaml_stream(objects)


def kustomize(folder):
    calls.append({"call": "kustomize", "args": [folder], "named": {}})
    return run("kubectl", "kustomize", folder)


def fail(message):
    raise RuntimeError(message)


def identities():
    """Every object of k8s_yaml, as workload_to_resource_function gets it."""
    objects = [item for call in calls if call["call"] == "k8s_yaml" for item in decode_yaml_stream(call["args"][0])]
    for item in objects:
        group, _, _ = item["apiVersion"].rpartition("/")
        metadata = item["metadata"]
        yield {"name": metadata["name"], "kind": item["kind"], "namespace": metadata.get("namespace", "default"), "group": group}


module = starlark.Module()
functions = {
    "k8s_context": lambda: context,
    "fail": fail,
    "helm": helm,
    "kustomize": kustomize,
    "decode_yaml_stream": decode_yaml_stream,
    "encode_yaml_stream": encode_yaml_stream,
    "encode_yaml": lambda item: encode_yaml_stream([item]),
    "blob": lambda text: text,
    "define_bool": recorder("config.define_bool", {}),
    "parse_settings": lambda: {key: value == "true" for key, value in (setting.split("=") for setting in settings)},
    "identities": lambda: list(identities()),
}
recorded = "allow_k8s_contexts docker_build k8s_yaml k8s_resource k8s_kind local_resource resource_name_of"
made = "sync fall_back_on port_forward link"
for name in (recorded + " " + made).split():
    functions[name] = recorder(name)
for name, function in functions.items():
    module.add_callable(name, function)

prelude = """
config = struct(define_bool = define_bool, parse = parse_settings)
TRIGGER_MODE_MANUAL = 'manual'
naming = []
def workload_to_resource_function(func):
    naming.append(func)
"""
# Only Starlark can call the function of a Tiltfile, so it says the name for each object that might be a workload.
postlude = """
for identity in identities():
    for function in naming[-1:]:
        resource_name_of(identity, function(struct(**identity)))
"""
with open(path, encoding="utf-8") as file:
    source = prelude + file.read() + postlude
globals_ = starlark.Globals.extended_by([starlark.LibraryExtension.StructType])
ast = starlark.parse("Tiltfile", source, dialect=starlark.Dialect.extended())
starlark.eval(module, ast, globals_)
print(json.dumps([call for call in calls if call["call"] not in made.split()]))
