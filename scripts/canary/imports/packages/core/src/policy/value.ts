export const judgement = "judgement";
