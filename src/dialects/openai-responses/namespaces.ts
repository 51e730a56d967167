/**
 * Namespaces put function tools under a common name; calls then have a name and a `namespace` (Codex
 * groups its tools so). Only this dialect knows them: elsewhere such a tool has one flat name.
 */

import type { ChatRequest, Tool, ToolCallPart } from '#canonical';
import { asObject, asString, type JsonObject } from '#std';

/** What every vendor takes as the name of a tool. */
const nameCharactersMax = 64;

export function flatName(namespace: string, name: string): string {
  const joint = namespace.endsWith('__') ? '' : '__';
  const room = Math.max(0, nameCharactersMax - joint.length - name.length);
  return `${namespace.slice(0, room)}${joint}${name}`.slice(0, nameCharactersMax);
}

/**
 * The tools of a namespace under flat names. The namespace and the own name stay in `extensions`,
 * which overwrite the flat name where this dialect is written again.
 */
export function flattenTools(
  namespace: JsonObject,
  tools: readonly Tool[],
): readonly Tool[] | undefined {
  const { type: _type, tools: _tools, ...fields } = namespace;
  const space = asString(namespace['name']) ?? '';
  const flat: Tool[] = [];
  for (const tool of tools) {
    if (tool.kind !== 'function' && tool.kind !== 'custom') return undefined;
    const extensions = { ...tool.extensions, namespace: fields, name: tool.name };
    flat.push({ ...tool, name: flatName(space, tool.name), extensions });
  }
  return flat;
}

/** Tools as they were written from `extensions`, under their namespaces again, in the same order. */
export function groupTools(tools: readonly JsonObject[]): JsonObject[] {
  const grouped: JsonObject[] = [];
  const spaces = new Map<string, JsonObject[]>();
  for (const tool of tools) {
    const fields = asObject(tool['namespace']);
    if (!fields) {
      grouped.push(tool);
      continue;
    }
    const { namespace: _namespace, ...rest } = tool;
    const space = asString(fields['name']) ?? '';
    const members = spaces.get(space);
    if (members) {
      members.push(rest);
      continue;
    }
    const first = [rest];
    spaces.set(space, first);
    grouped.push({ type: 'namespace', ...fields, tools: first });
  }
  return grouped;
}

/** The namespaces that the client itself declared: calls under others stay as the vendor named them. */
export function declaredNamespaces(tools: readonly Tool[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const tool of tools) {
    if (tool.kind !== 'function' && tool.kind !== 'custom') continue;
    const space = asString(asObject(tool.extensions?.['namespace'])?.['name']);
    if (space !== undefined) names.add(space);
  }
  return names;
}

/** The fields of a call's item that flatten its name, where its tool has a flat name too. */
export function flatCall(
  name: string,
  extensions: JsonObject,
  declared: ReadonlySet<string>,
): { readonly name: string; readonly extensions: JsonObject } {
  const space = asString(extensions['namespace']);
  if (space === undefined || !declared.has(space)) return { name, extensions };
  return { name: flatName(space, name), extensions: { ...extensions, name } };
}

/** The name of a call as this client declared the tool. */
export function declaredName(call: ToolCallPart, request: ChatRequest): JsonObject {
  const own = call.extensions;
  if (typeof own?.['namespace'] === 'string')
    return { name: own['name'] ?? call.name, namespace: own['namespace'] };
  for (const tool of request.tools) {
    if ((tool.kind !== 'function' && tool.kind !== 'custom') || tool.name !== call.name) continue;
    const space = asString(asObject(tool.extensions?.['namespace'])?.['name']);
    const name = asString(tool.extensions?.['name']);
    if (space !== undefined && name !== undefined) return { name, namespace: space };
  }
  return { name: call.name };
}
