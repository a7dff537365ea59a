require ["include", "fileinto"];
if true {
	fileinto "Returned";
	return;
}
fileinto "Never";
