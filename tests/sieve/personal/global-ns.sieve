require ["include", "variables", "fileinto"];
fileinto "ns ${global.word}";
set "global.answer" "42";
