require ["include", "variables"];
global ["name", "greeting"];
set "greeting" "Hello ${name}";
set "own" "from inside";
