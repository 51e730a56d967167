/** How a tool whose input is free text is declared where there are none: as a function of one string. */

export const freeTextParameters = {
  type: 'object',
  properties: { input: { type: 'string' } },
  required: ['input'],
  additionalProperties: false,
};

export const freeTextLoss =
  'this upstream has no free text tools: sent as a function of one string';
