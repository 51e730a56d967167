/**
 * What all JavaScript programs share: the question, the tool, and how a program tells what it saw.
 * A program is copied beside its installed packages and runs there, once for all models.
 */

export const url = process.env.MANIFOLD_URL;
export const key = process.env.MANIFOLD_KEY;
const models = process.env.MANIFOLD_MODELS.split(',');
const nonce = process.env.MANIFOLD_NONCE;
/** Which API a library that has several shall use: the name of its dialect. */
export const dialect = process.env.MANIFOLD_DIALECT;

export const system = 'You report the weather. Be brief.';
export const question = 'How is the weather in Zürich and in 東京?';

export const tool = {
  name: 'get_weather',
  description: 'The weather of a city, now.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string', description: 'Name of the city' } },
    required: ['city'],
    additionalProperties: false,
  },
};

/** The tool itself. The number makes sure that its words went to the model and nowhere else. */
export function weather({ city }) {
  return `${city}: 21 °C, sunny ${nonce}`;
}

/**
 * Calls `converse` for each model and prints one line for each. It gives the turns as
 * `{ text, calls: [{ name, input }], finish, usage: { input, cached, output }, pieces }`, where `input`
 * and `output` are totals and `pieces` counts what arrived one after the other.
 */
export async function report(converse) {
  for (const model of models) {
    const line = await converse(model).then(
      (turns) => ({ model, turns }),
      (error) => ({ model, error: String(error?.stack ?? error).slice(0, 2_000) }),
    );
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}
